//! Keys that people type and wsgate does not know: what stands in their place.

/// Whether `key` is planned and not there yet. To ignore it would be to do something else than what was written.
pub(super) fn is_later(key: &str) -> bool {
    key == "upstreams"
}

/// What to do without a key of [`is_later`].
pub(super) const WITHOUT: &str = "write the address of one server in each `proxy_pass`";

/// The key that was meant by one of another proxy, or of nginx.
pub(super) fn renamed(key: &str) -> Option<&'static str> {
    Some(match key {
        "port" | "bind" | "addr" | "ip" => "address",
        "server_name" | "hostname" | "domain" => "host",
        "path" | "prefix" | "match" => "location",
        "backend" | "target" | "to" | "url" | "uri" | "proxy" => "proxy_pass",
        "certificate" | "crt" | "certfile" | "fullchain" | "ssl_certificate" => "cert",
        "certificate_key" | "private_key" | "keyfile" | "privkey" | "ssl_certificate_key" => "key",
        "ssl" | "https" => "tls",
        "proxy_ssl_trusted_certificate" | "ca_file" | "cafile" | "cacert" | "ca_cert" => "ca",
        "proxy_connect_timeout" => "connect_timeout",
        "set_real_ip_from" | "trusted_proxy" | "trust_proxy" => "trusted_proxies",
        "origin" | "origins" | "allowed_origin" | "allow_origin" => "allowed_origins",
        "client_header_timeout" => "header_timeout",
        "client_body_timeout" => "body_timeout",
        "worker_processes" | "workers" => "threads",
        "worker_connections" | "maxconn" => "max_connections",
        "worker_shutdown_timeout" => "drain_timeout",
        _ => return None,
    })
}
