//! Decides about a directive for which `routes.yaml` has no key: wsgate makes it unnecessary, or a comment says that it
//! is not carried over.
//!
//! The reasons are those of `wsgate check` for nginx's directives (`config::instead_of`). This file has the reasons for
//! directives that nobody types into a `routes.yaml`, and for those whose value decides.

use crate::config;
use crate::nginx::notes::Notes;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;

/// What is to be done about a directive.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Disposition {
    /// Nothing, since another file of the import translates the directive.
    Taken,
    /// The directive is noted as unnecessary, for this reason.
    Needless(String),
    /// The directive is noted as not carried over, for this reason.
    Left(String),
}

/// Directives that other files of the import translate.
const TAKEN: &[&str] = &[
    "http",
    "server",
    "listen",
    "server_name",
    "location",
    "upstream",
    "proxy_pass",
    "proxy_set_header",
    "proxy_read_timeout",
    "proxy_connect_timeout",
    "proxy_ssl_trusted_certificate",
    "ssl_certificate",
    "ssl_certificate_key",
    "return",
    "internal",
    "worker_shutdown_timeout",
    "allow",
    "deny",
    "auth_basic",
    "auth_basic_user_file",
    "auth_request",
    "auth_jwt",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "memcached_pass",
    "stub_status",
    "try_files",
    "limit_except",
    "map",
];

/// The reason for directives that have no meaning here.
const NO_EFFECT: &str = "nothing takes its place, and nothing is missed";
/// The reason for directives about files.
const FILES: &str = "no file is served";
/// The reason for directives about compression.
const COMPRESSED: &str = "answers go on as the upstream wrote them, compressed or not";
/// The reason for directives about logs.
const LOGS: &str = "logs go to stderr";
/// The reason for directives about TLS.
const TLS: &str = "TLS 1.2 and 1.3 with sound ciphers and resumed sessions, nothing older";
/// The reason for directives about slow clients.
const CLIENTS: &str =
    "clients have other limits here, among them `header_timeout` and `body_timeout`";

/// Directives that wsgate makes unnecessary, and why; those that `wsgate check` calls not needed are not among them.
const NEEDLESS: &[(&[&str], &str)] = &[
    (
        &[
            "events",
            "user",
            "pid",
            "daemon",
            "master_process",
            "load_module",
            "env",
            "pcre_jit",
            "worker_processes",
            "worker_connections",
            "worker_rlimit_nofile",
            "worker_cpu_affinity",
            "worker_priority",
            "sendfile",
            "tcp_nopush",
            "aio",
            "directio",
            "server_tokens",
            "default_type",
            "types",
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
            "port_in_redirect",
            "server_name_in_redirect",
            "absolute_redirect",
            "charset",
            "resolver_timeout",
            "resolver",
            "msie_padding",
            "msie_refresh",
            "set",
            "break",
            "rewrite_log",
            "uninitialized_variable_warn",
        ],
        NO_EFFECT,
    ),
    (
        &[
            "root",
            "index",
            "autoindex",
            "alias",
            "open_file_cache",
            "open_file_cache_valid",
            "open_file_cache_min_uses",
            "open_file_cache_errors",
            "log_not_found",
            "etag",
            "if_modified_since",
            "disable_symlinks",
        ],
        FILES,
    ),
    (
        &["access_log", "error_log", "log_format", "log_subrequest"],
        LOGS,
    ),
    (
        &[
            "ssl_dhparam",
            "ssl_ecdh_curve",
            "ssl_stapling",
            "ssl_stapling_verify",
            "ssl_trusted_certificate",
            "ssl_buffer_size",
            "ssl_early_data",
            "ssl_conf_command",
            "ssl_session_ticket_key",
            "ssl",
        ],
        TLS,
    ),
    (
        &[
            "client_header_timeout",
            "client_body_timeout",
            "send_timeout",
            "lingering_close",
            "lingering_time",
            "lingering_timeout",
            "keepalive_requests",
            "keepalive_disable",
            "keepalive_time",
            "reset_timedout_connection",
            "client_body_temp_path",
            "client_body_in_file_only",
            "connection_pool_size",
            "request_pool_size",
        ],
        CLIENTS,
    ),
    (
        &[
            "proxy_temp_path",
            "proxy_max_temp_file_size",
            "proxy_temp_file_write_size",
            "proxy_cache_path",
            "proxy_cache_valid",
            "proxy_cache_key",
            "proxy_cache_use_stale",
            "proxy_cache_lock",
            "proxy_cache_methods",
            "proxy_cache_min_uses",
            "proxy_cache_revalidate",
            "proxy_cache_background_update",
            "proxy_store",
        ],
        "nothing is buffered, and there is no cache",
    ),
    (
        &["gzip", "gzip_static", "gunzip", "brotli", "ssi"],
        COMPRESSED,
    ),
    (
        &[
            "proxy_next_upstream",
            "proxy_next_upstream_timeout",
            "proxy_next_upstream_tries",
        ],
        "one server is asked",
    ),
    (
        &[
            "chunked_transfer_encoding",
            "proxy_force_ranges",
            "proxy_intercept_errors",
        ],
        "answers go to the client as the upstream wrote them",
    ),
    (
        &["postpone_output", "output_buffers", "limit_rate"],
        "the slower side sets the pace",
    ),
];

/// Directives that are not carried over, and why, where `wsgate check` gives another reason or none.
const LEFT: &[(&[&str], &str)] = &[
    (
        &[
            "add_header",
            "add_trailer",
            "expires",
            "proxy_hide_header",
            "proxy_ignore_headers",
            "proxy_cookie_domain",
            "proxy_cookie_path",
            "proxy_cookie_flags",
            "sub_filter",
            "sub_filter_once",
            "error_page",
        ],
        "answers go on as the upstream wrote them; let it write this",
    ),
    (
        &["rewrite"],
        "`rewrite` in a route does what a `break` here does; a path in `proxy_pass` replaces the location; `return` \
         redirects",
    ),
    (
        &["proxy_ssl_certificate", "proxy_ssl_certificate_key"],
        "wsgate has no certificate of its own to show",
    ),
    (&["stream", "mail"], "wsgate serves http alone"),
    (
        &["set_real_ip_from", "real_ip_header", "real_ip_recursive"],
        "name the proxies in front under `trusted_proxies`: X-Forwarded-For is what they are believed",
    ),
    (
        &[
            "limit_req",
            "limit_conn",
            "limit_req_zone",
            "limit_conn_zone",
        ],
        "`per_ip` limits the connections and the opening handshakes of each address",
    ),
    (
        &["geo", "split_clients"],
        "there are no variables to make; `when` chooses by query, header, method and port",
    ),
    (
        &["ssl_verify_client", "ssl_client_certificate"],
        "clients are not asked for a certificate",
    ),
];

/// Notes the directives of a block that are not translated, each by its [`Disposition`].
pub(super) fn note_rest(
    directives: &[Directive],
    scope: &Scope<'_>,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) {
    for directive in directives {
        match judge(directive) {
            Disposition::Taken if scope.obeys(directive) => {}
            Disposition::Taken => {
                comments.push(notes.left(directive, "what it names is no address and no network"));
            }
            Disposition::Needless(why) => notes.needless(directive, why),
            Disposition::Left(why) => comments.push(notes.left(directive, why)),
        }
    }
}

/// Decides about `directive` by its value or, where that does not matter, by its name.
fn judge(directive: &Directive) -> Disposition {
    by_value(directive).unwrap_or_else(|| by_name(directive.name.as_str()))
}

/// Decides about a directive by its value; `None` if only its name matters.
fn by_value(directive: &Directive) -> Option<Disposition> {
    let value = directive.arg(0).to_ascii_lowercase();
    let left = |why: &str| Some(Disposition::Left(why.to_owned()));
    match (directive.name.as_str(), value.as_str()) {
        ("include", _) => Some(match &directive.problem {
            None => Disposition::Taken,
            Some(_) if directive.arg(0).ends_with("mime.types") => {
                Disposition::Needless(FILES.to_owned())
            }
            Some(problem) => Disposition::Left(problem.clone()),
        }),
        ("proxy_ssl_verify", "off") => left(config::instead_of("insecure").unwrap_or(NO_EFFECT)),
        ("proxy_ssl_name", _) => left("an upstream is asked for the host of `proxy_pass`"),
        ("proxy_redirect", value) if !matches!(value, "off" | "default") => {
            left("answers go on as the upstream wrote them, `Location` too")
        }
        ("proxy_pass_request_headers" | "proxy_pass_request_body", "off") => {
            left("requests go on whole")
        }
        ("merge_slashes", "off") => left("slashes are always merged to choose a location"),
        ("underscores_in_headers", "on") => {
            left("fields with an underscore are dropped, which is nginx's default")
        }
        ("merge_slashes" | "underscores_in_headers" | "ignore_invalid_headers", _)
        | ("ssl_verify_client", "off") => Some(Disposition::Needless(NO_EFFECT.to_owned())),
        _ => None,
    }
}

/// Decides about a directive by its name, whatever its value.
fn by_name(name: &str) -> Disposition {
    let left = |why: &str| Disposition::Left(why.to_owned());
    let of = |table: &[(&[&str], &'static str)]| {
        table
            .iter()
            .find(|(names, _)| names.contains(&name))
            .map(|(_, why)| *why)
    };
    let begins = |beginnings: &[&str]| beginnings.iter().any(|begin| name.starts_with(begin));
    if TAKEN.contains(&name) {
        return Disposition::Taken;
    }
    if let Some(why) = of(LEFT) {
        return left(why);
    }
    if let Some(why) = of(NEEDLESS) {
        return Disposition::Needless(why.to_owned());
    }
    if begins(&["gzip_", "brotli_"]) {
        return Disposition::Needless(COMPRESSED.to_owned());
    }
    if begins(&["fastcgi_", "uwsgi_", "scgi_", "grpc_"]) {
        return Disposition::Needless("only http is spoken with upstreams".to_owned());
    }
    match config::instead_of(name) {
        Some(advice) => match advice.strip_prefix("not needed: ") {
            Some(why) => Disposition::Needless(why.to_owned()),
            None if name.starts_with("proxy_send") => Disposition::Needless(advice.to_owned()),
            None => left(advice),
        },
        None => left("wsgate has nothing that takes its place"),
    }
}
