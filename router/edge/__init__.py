"""The edge: the tracking API as Segment's and RudderStack's SDKs use it."""
