"""A small HTTP server, which the bridge, the Lambda host, the gateway and the sink are built on."""
