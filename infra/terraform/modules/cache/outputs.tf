output "endpoint" {
  description = "Host and port of the cache, for clients that speak TLS."
  value       = "${aws_elasticache_serverless_cache.this.endpoint[0].address}:${aws_elasticache_serverless_cache.this.endpoint[0].port}"
}
