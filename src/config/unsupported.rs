//! The keys of nginx and of other proxies that wsgate does not have, and what to do instead. The rules of `routes.yaml`
//! ask; the import of an nginx.conf has a table of its own (`nginx/directives`), since it knows the value of each.

/// What to do about a key of nginx, or of another proxy, whose place no key takes.
pub(crate) fn instead_of(key: &str) -> Option<&'static str> {
    let mut rows = INSTEAD.iter();
    rows.find(|(keys, _)| keys.contains(&key))
        .map(|(_, advice)| *advice)
}

/// Keys, and the advice to who writes one. Where nothing needs to be done it begins with `not needed: `.
const INSTEAD: &[(&[&str], &str)] = &[
    (
        &["server", "servers"],
        "there are no `server` blocks: ports and certificates stand under `listen`, locations under `routes`",
    ),
    (
        &["http", "events", "stream"],
        "there are no blocks: `listen` and `routes` stand at the top of the file",
    ),
    (
        &["upstream", "backends", "clusters", "pools"],
        "a group of servers is described below `upstreams` at the top of the file, and named by `proxy_pass: http://NAME`",
    ),
    (
        &[
            "hash",
            "ip_hash",
            "least_conn",
            "least_time",
            "random",
            "round_robin",
        ],
        "a group of `upstreams` says it by `balance`, as in `balance: ip_hash`",
    ),
    (
        &[
            "proxy_next_upstream",
            "proxy_next_upstream_tries",
            "proxy_next_upstream_timeout",
        ],
        "not needed: what no server has read is sent to the next one of the group",
    ),
    (
        &["keepalive_requests", "keepalive_time"],
        "not needed: a connection may carry any number of requests, for as long as it is used",
    ),
    (
        &["queue"],
        "no request waits for a server: where all have `max_conns` connections it is answered by 503",
    ),
    (
        &["ntlm"],
        "nothing takes its place: a connection with an upstream is kept for a few seconds only",
    ),
    (&["state"], "write the servers under `servers` of a group"),
    (
        &["balancer_by_lua_block"],
        "no program chooses a server: a group of `upstreams` says by `balance` how it is done",
    ),
    (
        &["locations"],
        "each location is an entry of `routes`, with `location` and `proxy_pass`",
    ),
    (
        &["proxy_set_header", "proxy_set_headers"],
        "not needed: Host, Upgrade, Connection, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and X-Real-IP \
         are sent as they should be; others stand below `set_headers`",
    ),
    (
        &["proxy_http_version"],
        "not needed: upstreams are always asked in HTTP/1.1",
    ),
    (
        &["proxy_read_timeout", "proxy_send_timeout", "timeout"],
        "`tunnel_timeout` ends an idle WebSocket, `response_timeout` a request without an answer",
    ),
    (
        &[
            "proxy_buffering",
            "proxy_request_buffering",
            "proxy_buffers",
            "proxy_buffer_size",
            "proxy_busy_buffers_size",
        ],
        "not needed: nothing is buffered in either direction",
    ),
    (
        &["large_client_header_buffers", "client_header_buffer_size"],
        "not needed: request heads up to 64 KiB are served",
    ),
    (
        &["proxy_cache", "proxy_cache_bypass", "proxy_no_cache"],
        "not needed: there is no cache",
    ),
    (
        &["proxy_pass_header", "proxy_pass_request_headers"],
        "not needed: answers go to the client as the upstream wrote them",
    ),
    (
        &["client_max_body_size", "client_body_buffer_size"],
        "not needed: bodies have no size limit",
    ),
    (
        &["proxy_ignore_client_abort"],
        "not needed: an upstream is told at once when its client leaves",
    ),
    (
        &[
            "keepalive",
            "tcp_nodelay",
            "so_keepalive",
            "proxy_socket_keepalive",
        ],
        "not needed: it is always on",
    ),
    (
        &["websocket", "websockets"],
        "not needed: upgrades come by themselves; a route for them alone has `when: { websocket: true }`",
    ),
    (
        &["map"],
        "`Connection: Upgrade` needs none; \
         a server is chosen by `when` in a route: `when: { query: { EIO: \"3\" } }`",
    ),
    (
        &["if", "limit_except"],
        "`when` says for which requests a route is: `when: { method: [GET, POST] }`",
    ),
    (
        &["http2"],
        "not needed: HTTP/1.1 is all that clients are offered",
    ),
    (
        &[
            "ssl_protocols",
            "ssl_ciphers",
            "ssl_prefer_server_ciphers",
            "ssl_session_cache",
            "ssl_session_tickets",
            "ssl_session_timeout",
        ],
        "not needed: TLS 1.2 and 1.3 with sound ciphers and tickets, nothing older",
    ),
    (
        &[
            "proxy_ssl_verify",
            "proxy_ssl_verify_depth",
            "proxy_ssl_server_name",
            "proxy_ssl_session_reuse",
            "proxy_ssl_protocols",
        ],
        "not needed: an `https://` upstream is asked for the host of `proxy_pass` (SNI) and verified, in TLS 1.2 or \
         1.3",
    ),
    (
        &["insecure", "insecure_skip_verify", "skip_verify", "secure"],
        "an `https://` upstream is always verified: give the certificate of its authority, or its own, as `ca`",
    ),
    (
        &["root", "alias", "index", "try_files", "autoindex"],
        "wsgate serves no files: let another server do so, and name it in `proxy_pass`",
    ),
    (
        &["default_server"],
        "not needed: the same routes answer on every address",
    ),
    (
        &["sub_filter", "gzip", "error_page", "cors"],
        "not needed: answers are the upstream's, and go on unaltered",
    ),
    (
        &["auth_basic", "auth_request", "auth_jwt"],
        "the upstream decides: its 401 or 403 reaches the client, also as the answer to an upgrade",
    ),
    (
        &[
            "limit_conn",
            "limit_req",
            "limit_conn_zone",
            "limit_req_zone",
            "rate_limit",
            "max_connections_per_ip",
        ],
        "`per_ip: { connections: 100, handshakes_per_second: 20 }` at the top of the file limits what each address has",
    ),
    (
        &["real_ip_header", "real_ip_recursive"],
        "`trusted_proxies` at the top of the file is enough: it is X-Forwarded-For that they are believed, over all of \
         them",
    ),
    (
        &[
            "worker_rlimit_nofile",
            "use",
            "multi_accept",
            "sendfile",
            "tcp_nopush",
            "user",
            "pid",
            "daemon",
            "include",
            "default_type",
            "resolver",
        ],
        "nothing takes its place: take it out",
    ),
    (
        &["absolute_redirect", "port_in_redirect"],
        "not needed: a redirect to a path names neither host nor port",
    ),
    (
        &["proxy_ignore_headers", "server_tokens"],
        "not needed: no field of an answer is obeyed, and wsgate does not name itself",
    ),
    (
        &[
            "charset",
            "expires",
            "proxy_cookie_domain",
            "proxy_cookie_flags",
        ],
        "let the upstream write it: answers go on unaltered",
    ),
    (
        &[
            "types",
            "limit_rate",
            "mirror",
            "proxy_bind",
            "proxy_method",
            "proxy_set_body",
        ],
        "nothing takes its place: take it out",
    ),
    (
        &["error_log", "log_format"],
        "logs go to stderr; `--log-format json` makes them JSON",
    ),
];
