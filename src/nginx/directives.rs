//! The table of nginx's directives: which of them the import translates, which wsgate makes unnecessary, and which are
//! lost. It is a table, and longer than a file of code should be.
//!
//! Each row says what a client, or the upstream, would notice without the directive. `tests/import/directives.rs` has a
//! case for each name in it, with the values that decide.

use crate::nginx::directives::DirectiveVerdict::Depends;
use crate::nginx::directives::DirectiveVerdict::Lost;
use crate::nginx::directives::DirectiveVerdict::NotNeeded;
use crate::nginx::directives::DirectiveVerdict::Translated;
use crate::nginx::tree::Directive;
use crate::nginx::values::has_sound_cipher;
use crate::nginx::values::has_tls_1_2;
use crate::nginx::values::is_1_1;
use crate::nginx::values::is_above_default_body_size;
use crate::nginx::values::is_harmless_command;
use crate::nginx::values::is_off;
use crate::nginx::values::is_on;
use crate::nginx::values::is_stub_resolver;
use crate::nginx::values::is_within_head_limit;
use crate::nginx::values::is_zero;

/// Directives that are judged alike.
#[derive(Debug)]
pub(super) struct Row {
    /// The names of the directives. One that ends with `*` is a beginning.
    pub(super) names: &'static [&'static str],
    /// What becomes of them.
    pub(super) verdict: DirectiveVerdict,
}

/// What becomes of a directive.
#[derive(Clone, Copy, Debug)]
pub(super) enum DirectiveVerdict {
    /// Another file of the import translates it, or says why it cannot.
    Translated,
    /// Nothing is missed without it, for this reason.
    NotNeeded(&'static str),
    /// Something is missed without it.
    Lost(&'static str),
    /// It is not needed with the values that `needless` is true for, and lost with any other.
    Depends {
        needless: fn(&Directive) -> bool,
        why: &'static str,
        lost: &'static str,
    },
}

/// The row of the directive `name`. A name stands before a beginning that it has.
pub(super) fn row(name: &str) -> Option<&'static Row> {
    let begins = |known: &str| {
        known
            .strip_suffix('*')
            .is_some_and(|begin| name.starts_with(begin))
    };
    let exact = ROWS.iter().find(|row| row.names.contains(&name));
    exact.or_else(|| {
        ROWS.iter()
            .find(|row| row.names.iter().any(|known| begins(known)))
    })
}

/// All names of the table, in its order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().flat_map(|row| row.names.iter().copied())
}

/// The reason for directives about compression.
const COMPRESSION: &str = "it says how nginx compresses, which `gzip` or `brotli` turns on";
/// The reason for directives about files.
const FILES: &str = "no file is served";
/// The reason for directives about how nginx uses memory, disks and system calls.
const INSIDE: &str = "no client and no upstream can tell";
/// The reason for directives about logs.
const LOGS: &str = "logs go to standard error";
/// The reason for variables that cannot be made.
const VARIABLES: &str =
    "there are no variables to make; `when` chooses by query, header, method and port";
/// The reason for directives that alter the body of an answer.
const BODIES: &str = "the body of an answer goes on as the upstream wrote it; let it write this";
/// The reason for directives about a cache.
const CACHE: &str = "it says how nginx caches, which `proxy_cache` turns on";
/// The reason for protocols other than HTTP.
const PROTOCOLS: &str = "only http is spoken with upstreams";

/// The table, by nginx's modules.
const ROWS: &[Row] = &[
    // What other files of the import translate.
    Row {
        names: &[
            "http",
            "server",
            "listen",
            "server_name",
            "location",
            "upstream",
            "least_conn",
            "ip_hash",
            "hash",
            "random",
            "least_time",
            "sticky",
            "health_check",
            "proxy_next_upstream",
            "proxy_next_upstream_tries",
            "proxy_next_upstream_timeout",
            "proxy_pass",
            "proxy_set_header",
            "add_header",
            "proxy_hide_header",
            "proxy_redirect",
            "proxy_cookie_path",
            "proxy_read_timeout",
            "proxy_connect_timeout",
            "proxy_ssl_trusted_certificate",
            "proxy_ssl_name",
            "ssl_certificate",
            "ssl_certificate_key",
            "return",
            "internal",
            "worker_shutdown_timeout",
            "worker_processes",
            "allow",
            "deny",
            "auth_*",
            "auth_basic_user_file",
            "satisfy",
            "if",
            "fastcgi_pass",
            "uwsgi_pass",
            "scgi_pass",
            "grpc_pass",
            "memcached_pass",
            "stub_status",
            "try_files",
            "limit_except",
            "map",
            "client_header_timeout",
            "client_body_timeout",
            "keepalive_timeout",
            "set_real_ip_from",
            "real_ip_header",
            "real_ip_recursive",
            "include",
        ],
        verdict: Translated,
    },
    // The process.
    Row {
        names: &[
            "events",
            "debug_points",
            "worker_cpu_affinity",
            "worker_priority",
            "worker_rlimit_core",
            "worker_rlimit_nofile",
            "user",
            "pid",
            "daemon",
            "master_process",
            "load_module",
            "env",
            "lock_file",
            "pcre_jit",
            "ssl_engine",
            "thread_pool",
            "timer_resolution",
            "working_directory",
        ],
        verdict: NotNeeded(
            "whatever starts wsgate says it: its user, its limit of descriptors, its working directory",
        ),
    },
    Row {
        names: &["stream", "mail"],
        verdict: Lost("wsgate serves http alone"),
    },
    // Inside of nginx.
    Row {
        names: &[
            "aio",
            "aio_write",
            "directio",
            "directio_alignment",
            "sendfile",
            "sendfile_max_chunk",
            "tcp_nopush",
            "tcp_nodelay",
            "read_ahead",
            "output_buffers",
            "postpone_output",
            "send_lowat",
            "proxy_send_lowat",
            "connection_pool_size",
            "request_pool_size",
            "subrequest_output_buffer_size",
            "types_hash_max_size",
            "types_hash_bucket_size",
            "server_names_hash_max_size",
            "server_names_hash_bucket_size",
            "variables_hash_max_size",
            "variables_hash_bucket_size",
            "map_hash_max_size",
            "map_hash_bucket_size",
            "proxy_headers_hash_max_size",
            "proxy_headers_hash_bucket_size",
            "referer_hash_max_size",
            "referer_hash_bucket_size",
            "client_body_temp_path",
            "client_body_in_single_buffer",
            "client_body_in_file_only",
            "client_body_buffer_size",
            "uninitialized_variable_warn",
        ],
        verdict: NotNeeded(INSIDE),
    },
    Row {
        names: &[
            "access_log",
            "error_log",
            "log_format",
            "log_subrequest",
            "log_not_found",
            "open_log_file_cache",
            "rewrite_log",
        ],
        verdict: NotNeeded(LOGS),
    },
    // Files.
    Row {
        names: &[
            "root",
            "alias",
            "index",
            "autoindex",
            "autoindex_*",
            "random_index",
            "open_file_cache",
            "open_file_cache_*",
            "etag",
            "if_modified_since",
            "disable_symlinks",
            "max_ranges",
            "gzip_static",
            "brotli_static",
        ],
        verdict: NotNeeded(FILES),
    },
    Row {
        names: &["types", "default_type"],
        verdict: NotNeeded(
            "no file is served; where a `return` would have another type, that is said there",
        ),
    },
    // Clients' connections.
    Row {
        names: &["keepalive_requests", "keepalive_disable", "keepalive_time"],
        verdict: NotNeeded(
            "a connection may carry any number of requests, for as long as it is used",
        ),
    },
    Row {
        names: &["send_timeout", "reset_timedout_connection"],
        verdict: NotNeeded(
            "a client that takes nothing at all for two minutes is let go; one that is slow may take its time",
        ),
    },
    Row {
        names: &["lingering_close", "lingering_time", "lingering_timeout"],
        verdict: NotNeeded(
            "where an answer closes a connection, what still comes is read so that the client sees it",
        ),
    },
    Row {
        names: &["client_max_body_size"],
        verdict: Depends {
            needless: is_above_default_body_size,
            why: "it lets larger bodies in than nginx's own 1 MB; here bodies have no limit",
            lost: "bodies have no limit here: let the upstream refuse what is too large",
        },
    },
    Row {
        names: &["large_client_header_buffers", "client_header_buffer_size"],
        verdict: Depends {
            needless: is_within_head_limit,
            why: "request heads up to 64 KiB are served",
            lost: "no request head may have more than 64 KiB",
        },
    },
    Row {
        names: &["limit_rate", "limit_rate_after", "proxy_limit_rate"],
        verdict: Depends {
            needless: is_zero,
            why: "nothing limits the rate",
            lost: "nothing limits the rate: the slower side sets the pace",
        },
    },
    Row {
        names: &["underscores_in_headers"],
        verdict: Depends {
            needless: is_off,
            why: "a client's fields with an underscore are dropped here too",
            lost: "a client's fields with an underscore are dropped, which is nginx's default",
        },
    },
    Row {
        names: &["ignore_invalid_headers"],
        verdict: Depends {
            needless: is_on,
            why: "no field with an invalid name goes on",
            lost: "a field with an invalid name does not go on, which is nginx's default",
        },
    },
    Row {
        names: &["merge_slashes"],
        verdict: Depends {
            needless: is_on,
            why: "slashes are merged to choose a location",
            lost: "slashes are always merged to choose a location",
        },
    },
    Row {
        names: &["resolver"],
        verdict: Depends {
            needless: is_stub_resolver,
            why: "names are looked up for each new connection, by the system's resolver, which is this one",
            lost: "names are looked up by the system's resolver: it must know what this one knows",
        },
    },
    Row {
        names: &["resolver_timeout"],
        verdict: NotNeeded("`connect_timeout` limits how long a name is looked up"),
    },
    // Answers of nginx's own.
    Row {
        names: &["absolute_redirect", "port_in_redirect"],
        verdict: NotNeeded(
            "a redirect to a path names neither host nor port, so that a client stays with those it asked for",
        ),
    },
    Row {
        names: &["server_name_in_redirect"],
        verdict: Depends {
            needless: is_off,
            why: "a redirect to a path names no host",
            lost: "a redirect to a path names no host: write it out in `return`",
        },
    },
    Row {
        names: &["server_tokens"],
        verdict: NotNeeded(
            "wsgate does not name itself in answers; the upstream's own `Server` goes on",
        ),
    },
    Row {
        names: &["msie_padding", "msie_refresh", "recursive_error_pages"],
        verdict: NotNeeded("it is about nginx's own pages of errors"),
    },
    Row {
        names: &["error_page", "proxy_intercept_errors"],
        verdict: Depends {
            needless: is_off,
            why: "answers go on as the upstream wrote them",
            lost: "answers go on as the upstream wrote them, and wsgate's own errors are a short text",
        },
    },
    Row {
        names: &["post_action", "mirror"],
        verdict: Depends {
            needless: is_off,
            why: "a request goes to one upstream",
            lost: "a request goes to one upstream, and to no second one",
        },
    },
    Row {
        names: &["mirror_request_body"],
        verdict: NotNeeded("it belongs to `mirror`"),
    },
    // Requests to upstreams.
    Row {
        names: &["proxy_http_version"],
        verdict: Depends {
            needless: is_1_1,
            why: "upstreams are always asked in HTTP/1.1",
            lost: "upstreams are always asked in HTTP/1.1",
        },
    },
    Row {
        names: &["proxy_pass_request_headers", "proxy_pass_request_body"],
        verdict: Depends {
            needless: is_on,
            why: "requests go on whole",
            lost: "requests go on whole",
        },
    },
    Row {
        names: &["proxy_method", "proxy_set_body"],
        verdict: Lost("requests go on with the method and the body that the client sent"),
    },
    Row {
        names: &["proxy_bind"],
        verdict: Depends {
            needless: is_off,
            why: "the system chooses the address from which an upstream is asked",
            lost: "the system chooses the address from which an upstream is asked",
        },
    },
    Row {
        names: &[
            "proxy_buffering",
            "proxy_request_buffering",
            "proxy_buffers",
            "proxy_buffer_size",
            "proxy_busy_buffers_size",
            "proxy_max_temp_file_size",
            "proxy_temp_file_write_size",
            "proxy_temp_path",
        ],
        verdict: NotNeeded(
            "nothing is buffered in either direction, and the slower side sets the pace",
        ),
    },
    Row {
        names: &["proxy_send_timeout"],
        verdict: NotNeeded(
            "an upstream that takes nothing keeps its client waiting, and what the client sends keeps a tunnel alive",
        ),
    },
    Row {
        names: &["proxy_socket_keepalive"],
        verdict: NotNeeded("it is always on: a vanished peer is found in about two minutes"),
    },
    Row {
        names: &["proxy_ignore_client_abort"],
        verdict: Depends {
            needless: is_off,
            why: "an upstream is told at once when its client leaves",
            lost: "an upstream is told at once when its client leaves",
        },
    },
    // Groups of servers.
    Row {
        names: &["zone"],
        verdict: NotNeeded("all threads share what is known of a group's servers"),
    },
    Row {
        names: &["match"],
        verdict: NotNeeded("it belongs to `health_check`"),
    },
    Row {
        names: &["keepalive"],
        verdict: NotNeeded(
            "a client's connection keeps its own upstream connection; none is shared between clients",
        ),
    },
    Row {
        names: &["queue"],
        verdict: Lost(
            "no request waits for a server: where all have `max_conns` connections it is answered by 503",
        ),
    },
    Row {
        names: &["ntlm"],
        verdict: Lost(
            "a connection is kept for a few seconds, and may lead to another server of a group then",
        ),
    },
    Row {
        names: &["state"],
        verdict: Lost("the servers in this file are not read: write them under `servers`"),
    },
    // Upstreams under TLS.
    Row {
        names: &["proxy_ssl_verify"],
        verdict: Depends {
            needless: is_on,
            why: "every `https://` upstream is verified",
            lost: "an `https://` upstream is always verified: give the certificate of its authority, or its own, as `ca`",
        },
    },
    Row {
        names: &["proxy_ssl_server_name"],
        verdict: Depends {
            needless: is_on,
            why: "an `https://` upstream is told the name that it is asked for (SNI)",
            lost: "an `https://` upstream is always told the name that it is asked for (SNI)",
        },
    },
    Row {
        names: &["proxy_ssl_session_reuse"],
        verdict: Depends {
            needless: is_on,
            why: "sessions with `https://` upstreams are resumed",
            lost: "sessions with `https://` upstreams are always resumed, where they offer it",
        },
    },
    Row {
        names: &["proxy_ssl_verify_depth"],
        verdict: NotNeeded("a chain of certificates may be as long as it needs to be"),
    },
    Row {
        names: &["proxy_ssl_protocols"],
        verdict: Depends {
            needless: has_tls_1_2,
            why: "upstreams are asked in TLS 1.2 or 1.3",
            lost: "upstreams are asked in TLS 1.2 or 1.3, never in anything older",
        },
    },
    Row {
        names: &["proxy_ssl_ciphers"],
        verdict: Depends {
            needless: has_sound_cipher,
            why: "upstreams are asked with sound ciphers",
            lost: "upstreams are asked with sound ciphers alone (AES-GCM, ChaCha20), none of which is among these",
        },
    },
    Row {
        names: &[
            "proxy_ssl_certificate",
            "proxy_ssl_certificate_key",
            "proxy_ssl_password_file",
        ],
        verdict: Lost("wsgate has no certificate of its own to show"),
    },
    Row {
        names: &["proxy_ssl_crl"],
        verdict: Lost("no list of revoked certificates is read"),
    },
    Row {
        names: &["proxy_ssl_conf_command", "ssl_conf_command"],
        verdict: Depends {
            needless: is_harmless_command,
            why: "it makes TLS faster, and nothing else",
            lost: "there is no OpenSSL in wsgate that could be commanded",
        },
    },
    // Answers of upstreams.
    Row {
        names: &["proxy_cookie_domain", "proxy_cookie_flags"],
        verdict: Depends {
            needless: is_off,
            why: "cookies go on as the upstream wrote them",
            lost: "cookies go on as the upstream wrote them; let it write this",
        },
    },
    Row {
        names: &["proxy_pass_header"],
        verdict: NotNeeded("all fields of an answer go on but those of the connection"),
    },
    Row {
        names: &["proxy_ignore_headers"],
        verdict: NotNeeded("wsgate obeys none of these fields, and passes them on"),
    },
    Row {
        names: &["add_trailer"],
        verdict: Lost("answers go on as the upstream wrote them; let it write this"),
    },
    Row {
        names: &["expires"],
        verdict: Depends {
            needless: is_off,
            why: "answers go on as the upstream wrote them",
            lost: "answers go on as the upstream wrote them; let it write this",
        },
    },
    Row {
        names: &["chunked_transfer_encoding"],
        verdict: Depends {
            needless: is_on,
            why: "an answer of unknown length is chunked for a client of HTTP/1.1",
            lost: "an answer of unknown length is chunked for a client of HTTP/1.1",
        },
    },
    Row {
        names: &["proxy_force_ranges", "slice"],
        verdict: Depends {
            needless: |directive| is_off(directive) || is_zero(directive),
            why: "the upstream decides about ranges",
            lost: "the upstream decides about ranges",
        },
    },
    Row {
        names: &["charset", "override_charset"],
        verdict: Depends {
            needless: is_off,
            why: "`Content-Type` goes on as the upstream wrote it",
            lost: "`Content-Type` goes on as the upstream wrote it: let it name the charset",
        },
    },
    Row {
        names: &["charset_types", "charset_map", "source_charset"],
        verdict: NotNeeded("it belongs to `charset`"),
    },
    Row {
        names: &["gzip", "brotli"],
        verdict: Depends {
            needless: is_off,
            why: "answers go on as the upstream wrote them, compressed or not",
            lost: "wsgate does not compress: clients get answers as the upstream wrote them, compressed or not",
        },
    },
    Row {
        names: &["gzip_*", "brotli_*", "gunzip_buffers"],
        verdict: NotNeeded(COMPRESSION),
    },
    Row {
        names: &[
            "gunzip",
            "ssi",
            "sub_filter",
            "add_after_body",
            "add_before_body",
            "image_filter",
            "xslt_stylesheet",
        ],
        verdict: Depends {
            needless: is_off,
            why: "the body of an answer goes on as the upstream wrote it",
            lost: BODIES,
        },
    },
    Row {
        names: &[
            "ssi_*",
            "sub_filter_*",
            "addition_types",
            "image_filter_*",
            "xslt_*",
        ],
        verdict: NotNeeded("it belongs to what alters the body of an answer"),
    },
    // The cache.
    Row {
        names: &["proxy_cache", "proxy_store"],
        verdict: Depends {
            needless: is_off,
            why: "there is no cache",
            lost: "there is no cache: each request goes to the upstream",
        },
    },
    Row {
        names: &["proxy_cache_*", "proxy_no_cache", "proxy_store_access"],
        verdict: NotNeeded(CACHE),
    },
    // Clients under TLS.
    Row {
        names: &["ssl"],
        verdict: Translated,
    },
    Row {
        names: &["ssl_protocols"],
        verdict: Depends {
            needless: has_tls_1_2,
            why: "TLS 1.2 and 1.3 are served",
            lost: "TLS 1.2 and 1.3 are served, both of them and nothing older",
        },
    },
    Row {
        names: &["ssl_ciphers"],
        verdict: Depends {
            needless: has_sound_cipher,
            why: "TLS has sound ciphers alone (AES-GCM, ChaCha20), and forward secrecy",
            lost: "TLS has sound ciphers alone (AES-GCM, ChaCha20), none of which is among these",
        },
    },
    Row {
        names: &[
            "ssl_buffer_size",
            "ssl_dhparam",
            "ssl_early_data",
            "ssl_ecdh_curve",
            "ssl_prefer_server_ciphers",
            "ssl_session_cache",
            "ssl_session_ticket_key",
            "ssl_session_tickets",
            "ssl_session_timeout",
        ],
        verdict: NotNeeded(
            "TLS 1.2 and 1.3 with sound ciphers and curves, and sessions that are resumed",
        ),
    },
    Row {
        names: &["ssl_password_file"],
        verdict: Lost(
            "a key is read without a password: write it to a file of its own that only wsgate may read",
        ),
    },
    Row {
        names: &["ssl_reject_handshake"],
        verdict: Depends {
            needless: is_off,
            why: "a client that asks for an unknown name gets the first certificate",
            lost: "a client that asks for an unknown name gets the first certificate, and the answer of the routes without `host`",
        },
    },
    Row {
        names: &["ssl_stapling", "ssl_stapling_file"],
        verdict: Depends {
            needless: is_off,
            why: "no OCSP answer goes along with a certificate",
            lost: "no OCSP answer goes along with a certificate; one that says must-staple needs it",
        },
    },
    Row {
        names: &[
            "ssl_stapling_responder",
            "ssl_stapling_verify",
            "ssl_trusted_certificate",
        ],
        verdict: NotNeeded("it belongs to `ssl_stapling`, or to the certificates of clients"),
    },
    Row {
        names: &[
            "ssl_verify_client",
            "ssl_client_certificate",
            "ssl_verify_depth",
            "ssl_crl",
            "ssl_ocsp",
            "ssl_ocsp_cache",
            "ssl_ocsp_responder",
        ],
        verdict: Depends {
            needless: is_off,
            why: "clients are not asked for a certificate",
            lost: "clients are not asked for a certificate",
        },
    },
    // Versions of HTTP.
    Row {
        names: &["http2", "http2_*", "http3", "http3_*", "quic_*"],
        verdict: NotNeeded(
            "HTTP/1.1 is all that clients are offered, which every one of them speaks",
        ),
    },
    // Who may, and how many.
    Row {
        names: &[
            "limit_req",
            "limit_conn",
            "limit_req_zone",
            "limit_conn_zone",
        ],
        verdict: Lost("`per_ip` limits the connections and the opening handshakes of each address"),
    },
    Row {
        names: &[
            "limit_req_dry_run",
            "limit_req_log_level",
            "limit_req_status",
            "limit_conn_dry_run",
            "limit_conn_log_level",
            "limit_conn_status",
        ],
        verdict: NotNeeded("it belongs to `limit_req` or `limit_conn`"),
    },
    Row {
        names: &["auth_delay"],
        verdict: NotNeeded("it belongs to what asks for a password, which nobody passes here"),
    },
    Row {
        names: &["rewrite"],
        verdict: Lost(
            "it chooses another location, or leads clients elsewhere: `rewrite` in a route does what a `break` does, \
             and `return` redirects",
        ),
    },
    Row {
        names: &["set"],
        verdict: Depends {
            needless: |directive| !matches!(directive.arg(0), "$args" | "$limit_rate"),
            why: "its value stands where its variable is used, or that is said there",
            lost: "a request goes on with its own query, at its own rate",
        },
    },
    Row {
        names: &["break"],
        verdict: NotNeeded("it ends the rewriting of a request, which each `rewrite` speaks of"),
    },
    Row {
        names: &["geo", "geoip_*", "split_clients", "auth_request_set"],
        verdict: Lost(VARIABLES),
    },
    // Other protocols.
    Row {
        names: &["fastcgi_*", "uwsgi_*", "scgi_*", "grpc_*", "memcached_*"],
        verdict: NotNeeded(PROTOCOLS),
    },
];
