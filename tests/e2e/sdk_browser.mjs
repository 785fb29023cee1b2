// Drives analytics-next in headless Chromium: node sdk_browser.mjs EDGE_URL WRITE_KEY standard|batching
import { createRequire } from 'node:module'
import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const [, , edge, key, strategy] = process.argv
const require = createRequire(import.meta.url)
const { chromium } = require('playwright-core')
const bundle = join(dirname(require.resolve('@segment/analytics-next/package.json')), 'dist/umd/standalone.js')
const apiHost = edge.replace('http://', '') + '/v1'

// The usual snippet, shortened: queue calls, then load the bundle.
const page = `<!doctype html><title>Shop</title><script>
window.analytics = []; analytics._writeKey = ${JSON.stringify(key)}; analytics._cdn = ${JSON.stringify(edge)};
const methods = ['track','identify','page','screen','group','alias','ready','load'];
for (const m of methods) analytics[m] = (...args) => analytics.push([m, ...args]);
analytics._loadOptions = { integrations: { 'Segment.io': { apiHost: ${JSON.stringify(apiHost)}, protocol: 'http',
  deliveryStrategy: ${JSON.stringify(strategy === 'batching' ? { strategy: 'batching', config: { size: 3, timeout: 300 } } : { strategy: 'standard' })} } } };
analytics.page('Docs', 'Home', { a: 1 });
</script><script src="/bundle.js"></script>`

const server = createServer((request, response) => {
  const script = request.url.startsWith('/bundle.js')
  response.writeHead(200, { 'Content-Type': script ? 'text/javascript' : 'text/html; charset=utf-8' })
  response.end(script ? readFileSync(bundle) : page)
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
try {
  const tab = await browser.newPage()
  const problems = []
  tab.on('requestfailed', (request) => problems.push(`${request.method()} ${request.url()}: ${request.failure()?.errorText}`))
  tab.on('response', (response) => { if (response.status() >= 400 && !response.url().endsWith('favicon.ico')) problems.push(`${response.status()} ${response.url()}`) })
  await tab.goto(`http://localhost:${server.address().port}/shop?utm_source=nl`)
  await tab.waitForFunction(() => typeof window.analytics?.user === 'function', null, { timeout: 15000 })
  await tab.evaluate(async () => {
    const a = window.analytics
    await a.identify('u1', { email: 'ann@example.com' })
    await a.track('Order Completed', { unicode: 'naïve ✓ 日本語 😀', nested: { a: [1, { b: null }] }, big: 9007199254740991, float: 12.5 })
    await a.screen('App', 'Start', { a: 1 })
    await a.group('g1', { name: 'Acme' })
    await a.alias('u2', 'u1')
  })
  await tab.waitForTimeout(1500)
  if (problems.length) { console.error(problems.join('\n')); process.exitCode = 1 }
} finally {
  await browser.close()
  server.close()
}
