// Drives the real Node SDKs: node sdk_node.mjs segment|rudder EDGE_URL WRITE_KEY
import { createRequire } from 'node:module'

const [, , which, url, key] = process.argv
const properties = { unicode: 'naïve ✓ 日本語 😀', nested: { a: [1, { b: null }], empty: {} }, big: 9007199254740991, float: 12.5, bool: true }
const require = createRequire(import.meta.url)

if (which === 'segment') {
  const { Analytics } = require('@segment/analytics-node')
  const analytics = new Analytics({ writeKey: key, host: url, maxEventsInBatch: 3 })
  analytics.on('error', (error) => { console.error(error); process.exitCode = 1 })
  analytics.identify({ userId: 'u1', traits: { email: 'ann@example.com' } })
  analytics.track({ userId: 'u1', event: 'Order Completed', properties })
  analytics.page({ userId: 'u1', category: 'Docs', name: 'Home', properties: { url: 'http://x/' } })
  analytics.screen({ userId: 'u1', name: 'Start', properties: { a: 1 } })
  analytics.group({ userId: 'u1', groupId: 'g1', traits: { name: 'Acme' } })
  analytics.alias({ userId: 'u1', previousId: 'u0' })
  await analytics.closeAndFlush()
} else {
  const loaded = require('@rudderstack/rudder-sdk-node')
  const Rudder = loaded.default ?? loaded
  const client = new Rudder(key, { dataPlaneUrl: url, flushAt: 6, gzip: true })
  const done = (error) => { if (error) { console.error(error); process.exitCode = 1 } }
  client.identify({ userId: 'u1', traits: { email: 'ann@example.com' } }, done)
  client.track({ userId: 'u1', event: 'Order Completed', properties }, done)
  client.page({ userId: 'u1', category: 'Docs', name: 'Home', properties: { url: 'http://x/' } }, done)
  client.screen({ userId: 'u1', name: 'Start', properties: { a: 1 } }, done)
  client.group({ userId: 'u1', groupId: 'g1', traits: { name: 'Acme' } }, done)
  client.alias({ userId: 'u1', previousId: 'u0' }, done)
  await new Promise((resolve) => client.flush(resolve))
}
