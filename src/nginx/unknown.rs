//! Tells which directives may keep clients out without the import knowing it: those of modules that it does not know, and
//! files that it could not read.
//!
//! What they say cannot be carried over, and nobody can tell that it opens nothing. So they close, but for those of which
//! it is known that they let nobody in and keep nobody out.

use crate::nginx::directives;
use crate::nginx::tree::Directive;

/// How the names of directives begin that say something about answers, logs, addresses of certificates, or variables
/// which only an `if` can ask for.
const HARMLESS: [&str; 35] = [
    "ancient_browser",
    "balancer_by_lua",
    "body_filter_by_lua",
    "brotli",
    "echo_",
    "fancyindex",
    "geoip",
    "header_filter_by_lua",
    "http3",
    "init_by_lua",
    "init_worker_by_lua",
    "js_body_filter",
    "js_fetch",
    "js_header_filter",
    "js_import",
    "js_path",
    "js_set",
    "js_var",
    "log_by_lua",
    "lua_",
    "modern_browser",
    "more_",
    "opentelemetry",
    "opentracing",
    "otel_",
    "pagespeed",
    "perl_",
    "quic_",
    "referer_hash_",
    "secure_link",
    "ssl_certificate_by_lua",
    "subs_filter",
    "valid_referers",
    "vhost_traffic_status",
    "zstd",
];

/// The names of files that Debian, Certbot and the images of linuxserver.io ship, none of which keeps anybody out.
const SHIPPED: [&str; 12] = [
    "fastcgi.conf",
    "fastcgi_params",
    "mime.types",
    "options-ssl-nginx.conf",
    "proxy.conf",
    "proxy_params",
    "resolver.conf",
    "scgi_params",
    "ssl.conf",
    "ssl-params.conf",
    "uwsgi_params",
    "websocket.conf",
];

/// Whether `directive` may keep clients out of the block in which it stands, by a rule that the import does not know.
pub(super) fn may_close(directive: &Directive) -> bool {
    if directive.problem.is_some() {
        let path = directive.arg(0);
        let name = path.rsplit('/').next().unwrap_or(path);
        return !SHIPPED.contains(&name);
    }
    let mut harmless = HARMLESS.iter();
    directives::row(&directive.name).is_none()
        && !harmless.any(|begin| directive.name.starts_with(begin))
}
