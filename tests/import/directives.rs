//! What becomes of every directive that the import has a rule for: it is carried over, not needed, or lost.
//!
//! Each row was decided by what real nginx (1.22.1) does with the directive, without it, and with other values of it.
//! The last column is that reason. The test writes each row into a file, asks the import, and looks in which list the
//! directive is; and it asks nginx whether the directive may stand there at all, so that no row is about nothing.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::import::directives::At::Http;
use crate::import::directives::At::Location;
use crate::import::directives::At::Main;
use crate::import::directives::At::Server;
use crate::import::directives::At::Upstream;
use crate::import::directives::Becomes::Carried;
use crate::import::directives::Becomes::Lost;
use crate::import::directives::Becomes::NotNeeded;
use crate::nginx_locations::nginx::binary;
use crate::support::write_pair;

/// The block that a directive stands in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    Main,
    Http,
    Server,
    Location,
    /// An `upstream` of two servers that the location asks.
    Upstream,
}

/// What the import does with a directive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Becomes {
    /// The file has this text because of it, and neither list has it.
    Carried(&'static str),
    /// It is in the list of what is not needed.
    NotNeeded,
    /// It is in the list of what is not carried over, which `--strict` counts.
    Lost,
}

/// Directives, of which the first is the one in question, and why they become what they do.
type Row = (At, &'static str, Becomes, &'static str);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // The process.
    (Main, "worker_processes 2;", Carried("threads: 2"), "the same thing"),
    (Main, "worker_processes 99999;", Lost, "no machine has so many cores"),
    (Main, "worker_shutdown_timeout 10s;", Carried("drain_timeout: 10s"), "the same thing"),
    (Main, "user root;", NotNeeded, "whoever starts wsgate chooses its user"),
    (Main, "pid x.pid;", NotNeeded, "whoever starts wsgate knows its process"),
    (Main, "daemon off;", NotNeeded, "wsgate stays in the foreground"),
    (Main, "master_process off;", NotNeeded, "there is one process"),
    (Main, "lock_file x;", NotNeeded, "threads share nothing that a file would lock"),
    (Main, "env TZ;", NotNeeded, "the environment is passed on to nobody"),
    (Main, "load_module modules/x.so;", NotNeeded, "what a module adds is judged by its own directives"),
    (Main, "pcre_jit on;", NotNeeded, "speed alone"),
    (Main, "ssl_engine x;", NotNeeded, "keys are files; `engine:` in front of one is lost on its own"),
    (Main, "thread_pool x threads=2;", NotNeeded, "for files"),
    (Main, "timer_resolution 100ms;", NotNeeded, "speed alone"),
    (Main, "working_directory .;", NotNeeded, "for core files"),
    (Main, "worker_cpu_affinity auto;", NotNeeded, "speed alone"),
    (Main, "worker_priority 0;", NotNeeded, "the system's nice says it"),
    (Main, "worker_rlimit_core 1m;", NotNeeded, "the system's limits say it"),
    (Main, "worker_rlimit_nofile 65536;", NotNeeded, "a start raises the limit as far as it may"),
    (Main, "debug_points abort;", NotNeeded, "for nginx's own developers"),
    (Main, "error_log stderr;", NotNeeded, "logs go to standard error"),
    (Main, "stream { }", Lost, "ports that are not http"),
    (Main, "mail { }", Lost, "ports that are not http"),
    (Main, "events { worker_connections 512; use epoll; multi_accept on; }", NotNeeded, "descriptors limit connections, and the rest is speed alone"),
    // Inside of nginx: no client and no upstream can tell.
    (Http, "aio threads;", NotNeeded, "for files"),
    (Http, "aio_write on;", NotNeeded, "for files"),
    (Http, "directio 4m;", NotNeeded, "for files"),
    (Http, "directio_alignment 512;", NotNeeded, "for files"),
    (Http, "sendfile on;", NotNeeded, "for files"),
    (Http, "sendfile_max_chunk 1m;", NotNeeded, "for files"),
    (Http, "tcp_nopush on;", NotNeeded, "for files"),
    (Http, "tcp_nodelay on;", NotNeeded, "always on"),
    (Http, "tcp_nodelay off;", NotNeeded, "the same bytes, sooner"),
    (Http, "read_ahead 0;", NotNeeded, "for files"),
    (Http, "output_buffers 2 32k;", NotNeeded, "for files"),
    (Http, "postpone_output 1460;", NotNeeded, "the same bytes, sooner"),
    (Http, "send_lowat 0;", NotNeeded, "has no effect on Linux"),
    (Http, "proxy_send_lowat 0;", NotNeeded, "has no effect on Linux"),
    (Http, "connection_pool_size 512;", NotNeeded, "memory alone"),
    (Http, "request_pool_size 4k;", NotNeeded, "memory alone"),
    (Http, "subrequest_output_buffer_size 4k;", NotNeeded, "memory alone"),
    (Http, "types_hash_max_size 2048;", NotNeeded, "memory alone"),
    (Http, "types_hash_bucket_size 64;", NotNeeded, "memory alone"),
    (Http, "server_names_hash_max_size 512;", NotNeeded, "memory alone"),
    (Http, "server_names_hash_bucket_size 64;", NotNeeded, "memory alone"),
    (Http, "variables_hash_max_size 1024;", NotNeeded, "memory alone"),
    (Http, "variables_hash_bucket_size 64;", NotNeeded, "memory alone"),
    (Http, "map_hash_max_size 2048;", NotNeeded, "memory alone"),
    (Http, "map_hash_bucket_size 64;", NotNeeded, "memory alone"),
    (Http, "proxy_headers_hash_max_size 512;", NotNeeded, "memory alone"),
    (Http, "proxy_headers_hash_bucket_size 64;", NotNeeded, "memory alone"),
    (Location, "referer_hash_max_size 2048;", NotNeeded, "memory alone"),
    (Location, "referer_hash_bucket_size 64;", NotNeeded, "memory alone"),
    (Http, "client_body_temp_path temp;", NotNeeded, "bodies are not kept"),
    (Http, "client_body_in_single_buffer on;", NotNeeded, "bodies are not kept"),
    (Http, "client_body_in_file_only clean;", NotNeeded, "bodies are not kept"),
    (Http, "client_body_buffer_size 128k;", NotNeeded, "bodies are not kept"),
    (Http, "uninitialized_variable_warn off;", NotNeeded, "for the log"),
    // Logs.
    (Http, "access_log off;", Carried("access_log: off"), "the same thing, for the whole process"),
    (Location, "access_log off;", NotNeeded, "a line more in the log, and nobody is answered otherwise"),
    (Http, "error_log stderr;", NotNeeded, "logs go to standard error"),
    (Http, "log_format x '$status';", NotNeeded, "text or JSON"),
    (Http, "log_subrequest on;", NotNeeded, "there are no subrequests"),
    (Http, "log_not_found off;", NotNeeded, "for files"),
    (Http, "open_log_file_cache off;", NotNeeded, "logs go to standard error"),
    (Server, "rewrite_log on;", NotNeeded, "for the log"),
    // Files.
    (Server, "root /srv;", NotNeeded, "where it decides, a location or the server says that no file is served"),
    (Server, "index a.html;", NotNeeded, "for files"),
    (Server, "autoindex on;", NotNeeded, "for files"),
    (Server, "autoindex_exact_size off;", NotNeeded, "for files"),
    (Location, "random_index on;", NotNeeded, "for files"),
    (Http, "open_file_cache max=100;", NotNeeded, "for files"),
    (Http, "open_file_cache_valid 30s;", NotNeeded, "for files"),
    (Http, "etag off;", NotNeeded, "an upstream's ETag goes on in nginx too"),
    (Http, "if_modified_since before;", NotNeeded, "for files"),
    (Http, "disable_symlinks on;", NotNeeded, "for files"),
    (Http, "max_ranges 1;", NotNeeded, "for files: an upstream's ranges are its own"),
    (Http, "gzip_static on;", NotNeeded, "for files"),
    (Http, "types { text/html html; }", NotNeeded, "for files"),
    (Http, "default_type text/plain;", NotNeeded, "for files; a `return` whose type it would be is lost on its own"),
    (Server, "location /f/ { alias /srv/; }", Lost, "for files"),
    (Location, "alias /srv/;", NotNeeded, "nginx ignores it beside `proxy_pass`"),
    (Server, "try_files $uri =404;", NotNeeded, "`location /` takes every request, and inherits no `try_files`"),
    // Clients' connections.
    (Http, "keepalive_timeout 65;", Carried("keepalive_timeout: 1m5s"), "the same thing"),
    (Http, "keepalive_timeout 0;", Carried("keepalive_timeout: 0"), "the same thing"),
    (Http, "client_header_timeout 15s;", Carried("header_timeout: 15s"), "the same thing, for all servers"),
    (Http, "client_body_timeout 2m;", Carried("body_timeout: 2m"), "the same thing, for all servers"),
    (Http, "keepalive_requests 100;", NotNeeded, "nginx closes after so many; a client opens another"),
    (Http, "keepalive_time 1h;", NotNeeded, "nginx closes after so long; a client opens another"),
    (Http, "keepalive_disable none;", NotNeeded, "for browsers of long ago"),
    (Http, "send_timeout 30s;", NotNeeded, "nginx lets go of a client that reads nothing; so does wsgate"),
    (Http, "reset_timedout_connection on;", NotNeeded, "how a dead connection is closed"),
    (Http, "lingering_close off;", NotNeeded, "an answer that is lost by a reset helps nobody"),
    (Http, "lingering_time 30s;", NotNeeded, "how long a refused body is read"),
    (Http, "lingering_timeout 5s;", NotNeeded, "how long a refused body is read"),
    (Http, "client_max_body_size 0;", NotNeeded, "no limit in both"),
    (Http, "client_max_body_size 100m;", NotNeeded, "what nginx lets in goes on; its default is 1 MB"),
    (Http, "client_max_body_size 10k;", Lost, "nginx answers 413 to what its default lets in"),
    (Http, "client_header_buffer_size 4k;", NotNeeded, "heads up to 64 KiB are served"),
    (Http, "large_client_header_buffers 4 16k;", NotNeeded, "heads up to 64 KiB are served"),
    (Http, "large_client_header_buffers 8 64k;", Lost, "nginx serves heads for which wsgate answers 431"),
    (Location, "limit_rate 0;", NotNeeded, "no limit in both"),
    (Location, "limit_rate 10k;", Lost, "an answer takes its time in nginx"),
    (Location, "limit_rate_after 1m;", Lost, "an answer takes its time in nginx"),
    (Http, "underscores_in_headers off;", NotNeeded, "the same thing"),
    (Http, "underscores_in_headers on;", Lost, "nginx passes such a field on, wsgate does not"),
    (Http, "ignore_invalid_headers on;", NotNeeded, "the same thing"),
    (Http, "ignore_invalid_headers off;", Lost, "nginx passes such a field on, wsgate does not"),
    (Http, "merge_slashes on;", NotNeeded, "the same thing"),
    (Http, "merge_slashes off;", Lost, "`//a` does not meet `location /a` in nginx"),
    (Http, "resolver 127.0.0.11 valid=30s;", NotNeeded, "Docker's, which is the system's there"),
    (Http, "resolver 127.0.0.1:8600;", Lost, "only that server may know a name"),
    (Http, "resolver_timeout 5s;", NotNeeded, "`connect_timeout` limits it"),
    // Answers of nginx's own.
    (Http, "absolute_redirect off;", NotNeeded, "a redirect to a path is relative, as with `off`"),
    (Http, "port_in_redirect off;", NotNeeded, "a redirect to a path names no port, as with `off`"),
    (Http, "server_name_in_redirect off;", NotNeeded, "a redirect to a path names no host"),
    (Http, "server_name_in_redirect on;", Lost, "nginx leads clients to its first name"),
    (Http, "server_tokens off;", NotNeeded, "wsgate has no `Server` of its own"),
    (Http, "msie_padding off;", NotNeeded, "nginx's own pages of errors"),
    (Http, "msie_refresh on;", NotNeeded, "for browsers of long ago"),
    (Http, "recursive_error_pages on;", NotNeeded, "`error_page` is lost on its own"),
    (Http, "error_page 502 /50x.html;", Lost, "clients see another page, or another status"),
    (Http, "proxy_intercept_errors off;", NotNeeded, "the same thing"),
    (Http, "proxy_intercept_errors on;", Lost, "clients see `error_page` for the upstream's errors too"),
    (Location, "mirror /copy;", Lost, "a second upstream gets each request in nginx"),
    (Location, "mirror off;", NotNeeded, "the same thing"),
    (Location, "mirror_request_body off;", NotNeeded, "a part of `mirror`"),
    (Location, "post_action /done;", Lost, "a second request follows each in nginx"),
    // Requests to upstreams.
    (Location, "proxy_http_version 1.1;", NotNeeded, "the same thing"),
    (Location, "proxy_http_version 1.0;", Lost, "an upstream that knows only HTTP/1.0 is asked in 1.1"),
    (Location, "proxy_pass_request_headers on;", NotNeeded, "the same thing"),
    (Location, "proxy_pass_request_body on;", NotNeeded, "the same thing"),
    (Location, "proxy_pass_request_body off;", Lost, "the upstream gets a body that nginx keeps"),
    (Location, "proxy_method POST;", Lost, "the upstream is asked by another method in nginx"),
    (Location, "proxy_set_body x;", Lost, "the upstream gets another body in nginx"),
    (Location, "proxy_bind 127.0.0.1;", Lost, "the upstream sees another address"),
    (Location, "proxy_bind off;", NotNeeded, "the same thing"),
    (Location, "proxy_buffering off;", NotNeeded, "the same thing"),
    (Location, "proxy_buffering on;", NotNeeded, "the same bytes, sooner"),
    (Location, "proxy_request_buffering on;", NotNeeded, "the same bytes, sooner"),
    (Location, "proxy_buffers 8 8k;", NotNeeded, "memory alone"),
    (Location, "proxy_buffer_size 8k;", NotNeeded, "an answer's head may have 64 KiB"),
    (Location, "proxy_busy_buffers_size 16k;", NotNeeded, "memory alone"),
    (Location, "proxy_max_temp_file_size 0;", NotNeeded, "nothing is kept in files"),
    (Location, "proxy_temp_file_write_size 16k;", NotNeeded, "nothing is kept in files"),
    (Location, "proxy_temp_path temp;", NotNeeded, "nothing is kept in files"),
    (Location, "proxy_limit_rate 10k;", Lost, "an answer takes its time in nginx"),
    (Location, "proxy_send_timeout 1h;", NotNeeded, "an upstream that does not read has no limit here"),
    (Location, "proxy_socket_keepalive on;", NotNeeded, "always on"),
    (Location, "proxy_ignore_client_abort off;", NotNeeded, "the same thing"),
    (Location, "proxy_ignore_client_abort on;", Lost, "an upstream finishes what nobody waits for in nginx"),
    (Location, "proxy_next_upstream off;", NotNeeded, "one server is asked"),
    (Location, "proxy_next_upstream_tries 2;", NotNeeded, "one server is asked"),
    (Location, "proxy_next_upstream_timeout 1s;", NotNeeded, "one server is asked"),
    (Location, "proxy_next_upstream error; proxy_pass http://group;", NotNeeded, "the same thing"),
    (Location, "proxy_next_upstream off; proxy_pass http://group;", Lost, "nginx answers 502 for a server that refuses the connection, wsgate asks another"),
    (Location, "proxy_next_upstream timeout; proxy_pass http://group;", Lost, "nginx answers 502 for a server that refuses the connection, and asks another for one that says nothing"),
    (Location, "proxy_next_upstream error timeout; proxy_pass http://group;", Lost, "nginx asks another server where one says nothing, wsgate answers 504"),
    (Location, "proxy_next_upstream error invalid_header; proxy_pass http://group;", Lost, "nginx asks another server, wsgate answers 502"),
    (Location, "proxy_next_upstream error http_502; proxy_pass http://group;", Lost, "nginx asks another server for every GET"),
    (Location, "proxy_next_upstream error http_500; proxy_pass http://group;", Lost, "nginx asks another server, the client sees a 500 here"),
    (Location, "proxy_next_upstream error http_403 http_404 http_429; proxy_pass http://group;", Lost, "nginx asks another server, the client sees the answer here"),
    (Location, "proxy_next_upstream error non_idempotent; proxy_pass http://group;", Lost, "nginx sends a POST twice"),
    (Location, "proxy_next_upstream_tries 0; proxy_pass http://group;", NotNeeded, "there are two servers, and both are tried"),
    (Location, "proxy_next_upstream_tries 2; proxy_pass http://group;", NotNeeded, "there are two servers, and both are tried"),
    (Location, "proxy_next_upstream_tries 1; proxy_pass http://group;", Lost, "the second server is tried here"),
    (Location, "proxy_next_upstream_timeout 0; proxy_pass http://group;", NotNeeded, "`connect_timeout` is the limit"),
    (Location, "proxy_next_upstream_timeout 10s; proxy_pass http://group;", NotNeeded, "`connect_timeout` is over by then"),
    (Location, "proxy_next_upstream_timeout 1s; proxy_pass http://group;", Lost, "another server is tried for longer"),
    (Location, "health_check; proxy_pass http://group;", Carried("health_check: { http: / }"), "the same thing"),
    (Location, "health_check uri=/up interval=5 fails=3 passes=2; proxy_pass http://group;", Carried("health_check: { http: /up }"), "the same thing"),
    (Location, "health_check interval=1; proxy_pass http://group;", Lost, "each server is asked every 5 s"),
    (Location, "health_check mandatory match=ok port=81; proxy_pass http://group;", Lost, "a server is up before the first answer, and asked where it serves"),
    (Location, "health_check;", Lost, "one server is asked, up or not"),
    (Http, "match ok { status 200; }", NotNeeded, "a part of `health_check`, whose `match=` is lost on its own"),
    // Groups of servers.
    (Upstream, "least_conn;", Carried("balance: least_conn"), "the same thing"),
    (Upstream, "ip_hash;", Carried("balance: ip_hash"), "the same thing, but for which part of an address decides"),
    (Upstream, "hash $remote_addr;", Carried("balance: { hash: $remote_addr }"), "the same thing, but for which key goes where"),
    (Upstream, "hash $binary_remote_addr consistent;", Carried("balance: { hash: $remote_addr }"), "the same thing"),
    (Upstream, "hash $cookie_user;", Carried("balance: { hash: $cookie_user }"), "the same thing"),
    (Upstream, "hash $uri;", Lost, "requests for a path go to different servers"),
    (Upstream, "random;", NotNeeded, "each server has the same share in turn"),
    (Upstream, "random two;", NotNeeded, "the least busy server has the same shares"),
    (Upstream, "random two least_time=header;", Lost, "how fast servers answer is not measured"),
    (Upstream, "least_time header;", Lost, "how fast servers answer is not measured"),
    (Upstream, "sticky cookie srv expires=1h;", Carried("sticky: [sid, { cookie: srv, expires: 1h }]"), "the same thing"),
    (Upstream, "sticky cookie srv bad=x;", Lost, "a part of the cookie"),
    (Upstream, "sticky route $cookie_r;", Lost, "a client goes to the server that its cookie names"),
    (Upstream, "sticky learn create=$upstream_cookie_a lookup=$cookie_a zone=a:1m;", Lost, "a client goes to the server that gave out its cookie"),
    (Upstream, "zone group 64k;", NotNeeded, "threads share what they know"),
    (Upstream, "keepalive 16;", NotNeeded, "speed alone: clients share no upstream connection"),
    (Upstream, "keepalive_requests 100;", NotNeeded, "a part of `keepalive`"),
    (Upstream, "keepalive_time 1h;", NotNeeded, "a part of `keepalive`"),
    (Upstream, "keepalive_timeout 1m;", NotNeeded, "a part of `keepalive`"),
    (Upstream, "queue 10 timeout=5s;", Lost, "a request waits for a server in nginx"),
    (Upstream, "ntlm;", Lost, "a client's password counts for one connection"),
    (Upstream, "state servers.state;", Lost, "nginx has more servers than the file"),
    (Upstream, "resolver 127.0.0.11;", NotNeeded, "Docker's, which is the system's there"),
    (Upstream, "resolver 10.0.0.53;", Lost, "only that server may know a name"),
    (Upstream, "resolver_timeout 5s;", NotNeeded, "`connect_timeout` limits it"),
    // Parameters of a server: nginx's own, and those of its commercial edition.
    (Upstream, "server 127.0.0.1:3003 weight=3;", Carried("weight: 3"), "the same thing"),
    (Upstream, "server 127.0.0.1:3003 max_fails=3;", Carried("max_fails: 3"), "the same thing"),
    (Upstream, "server 127.0.0.1:3003 max_fails=0;", Carried("max_fails: 0"), "the same thing"),
    (Upstream, "server 127.0.0.1:3003 fail_timeout=30s;", NotNeeded, "a server that is down is back as soon as it takes connections"),
    (Upstream, "server 127.0.0.1:3003 max_conns=100;", Carried("max_conns: 100"), "the same thing"),
    (Upstream, "server 127.0.0.1:3003 backup;", Carried("backup: true"), "the same thing"),
    (Upstream, "server 127.0.0.1:3003 down;", Carried("down: true"), "the same thing"),
    (Upstream, "server 127.0.0.1:3003 drain;", Carried("drain: true"), "the same thing"),
    (Upstream, "server localhost:3003 resolve;", Carried("resolve: true"), "the same thing"),
    (Upstream, "server localhost service=http resolve;", Lost, "the port is in DNS too"),
    (Upstream, "server 127.0.0.1:3003 route=a;", NotNeeded, "a part of `sticky`"),
    (Upstream, "server 127.0.0.1:3003 slow_start=30s;", Lost, "the others come back at once in nginx"),
    (Upstream, "server 127.0.0.1:3003 other=1;", Lost, "a module that nobody knows here"),
    (Upstream, "server ${BACKEND}:3003;", Lost, "nobody knows which server that is"),
    (Upstream, "server 127.0.0.1:8080;", Lost, "it leads back to a listener of this file"),
    (Location, "proxy_connect_timeout 2s;", Carried("connect_timeout: 2s"), "the same thing"),
    (Location, "proxy_read_timeout 10m;", Carried("tunnel_timeout: 10m"), "the same thing, in two keys"),
    (Location, "proxy_set_header X-A b;", Carried("X-A: b"), "the same thing"),
    (Location, "proxy_set_header Connection close;", NotNeeded, "wsgate writes it for each connection"),
    (Location, "proxy_set_header CLIENT_IP $remote_addr;", Carried("CLIENT_IP: $remote_addr"), "nginx drops the names of clients alone"),
    (Location, "proxy_set_header TE trailers;", Lost, "wsgate writes it for each connection"),
    (Server, "location /b { proxy_pass http://127.0.0.1:3001; }", Carried("proxy_pass: http://127.0.0.1:3001"), "the same thing"),
    // Upstreams under TLS.
    (Location, "proxy_ssl_verify on;", NotNeeded, "the same thing"),
    (Location, "proxy_ssl_verify off;", Lost, "an upstream that cannot be verified is 502 here"),
    (Location, "proxy_ssl_server_name on;", NotNeeded, "the same thing"),
    (Location, "proxy_ssl_server_name off;", Lost, "the upstream hears a name that nginx keeps"),
    (Location, "proxy_ssl_session_reuse on;", NotNeeded, "the same thing"),
    (Location, "proxy_ssl_session_reuse off;", Lost, "it works around an upstream that resumes wrongly"),
    (Location, "proxy_ssl_verify_depth 2;", NotNeeded, "a longer chain is verified too"),
    (Location, "proxy_ssl_protocols TLSv1.2 TLSv1.3;", NotNeeded, "the same thing"),
    (Location, "proxy_ssl_protocols TLSv1;", Lost, "an upstream that knows nothing newer is 502 here"),
    (Location, "proxy_ssl_ciphers HIGH;", NotNeeded, "there is one that both have"),
    (Location, "proxy_ssl_ciphers AES128-SHA;", Lost, "an upstream that knows no other is 502 here"),
    (Location, "proxy_ssl_name a.test; proxy_pass https://127.0.0.1:8443;", Carried("tls_name: a.test"), "the same thing"),
    (Location, "proxy_ssl_name $host; proxy_pass https://127.0.0.1:8443;", Lost, "the name depends on the request"),
    (Location, "proxy_ssl_name a.test;", NotNeeded, "this upstream is asked without TLS"),
    (Location, "proxy_ssl_certificate cert.pem;", Lost, "the upstream asks who wsgate is"),
    (Location, "proxy_ssl_certificate_key key.pem;", Lost, "the upstream asks who wsgate is"),
    (Location, "proxy_ssl_password_file pw;", Lost, "the upstream asks who wsgate is"),
    (Location, "proxy_ssl_crl crl.pem;", Lost, "nginx refuses a certificate that was revoked"),
    (Location, "proxy_ssl_conf_command Options KTLS;", NotNeeded, "speed alone"),
    (Location, "proxy_ssl_conf_command CipherString ALL;", Lost, "nginx knows ciphers that wsgate does not"),
    (Server, "location /s { proxy_pass https://127.0.0.1:8443; proxy_ssl_trusted_certificate cert.pem; }", Carried("ca: "), "the same thing"),
    // Answers of upstreams.
    (Location, "proxy_redirect off;", NotNeeded, "the same thing"),
    (Location, "proxy_redirect http://x/ /;", Carried("http://x/: /"), "the same thing"),
    (Location, "proxy_redirect http://x/ http://$upstream_addr/;", Lost, "clients are led elsewhere"),
    (Location, "proxy_cookie_domain off;", NotNeeded, "the same thing"),
    (Location, "proxy_cookie_domain a.test b.test;", Lost, "browsers send the cookie elsewhere"),
    (Location, "proxy_cookie_path off;", NotNeeded, "the same thing"),
    (Location, "proxy_cookie_path / /app/;", Carried("/: /app/"), "the same thing"),
    (Location, "proxy_cookie_flags a secure;", Lost, "browsers treat the cookie otherwise"),
    (Location, "proxy_pass_header Server;", NotNeeded, "the upstream's goes on"),
    (Location, "proxy_ignore_headers X-Accel-Redirect;", NotNeeded, "no such field is obeyed"),
    (Location, "proxy_hide_header X-Powered-By;", Carried("hide_headers: [X-Powered-By]"), "the same thing"),
    (Location, "add_header X-A b;", Carried("X-A: b"), "the same thing"),
    (Location, "add_header X-A b always;", Carried("X-A: { value: b, always: true }"), "the same thing"),
    (Location, "add_header X-A $upstream_addr;", Lost, "clients do not see the field"),
    (Location, "add_header Connection close;", Lost, "wsgate writes it for each connection"),
    (Location, "add_trailer X-A b;", Lost, "clients do not see the field"),
    (Location, "expires off;", NotNeeded, "the same thing"),
    (Location, "expires 1h;", Lost, "clients keep answers for another time"),
    (Location, "chunked_transfer_encoding on;", NotNeeded, "the same thing"),
    (Location, "chunked_transfer_encoding off;", Lost, "a client that knows no chunks is sent some"),
    (Location, "proxy_force_ranges on;", Lost, "nginx answers 206 where the upstream does not"),
    (Location, "slice 1m;", Lost, "the upstream is asked for parts in nginx"),
    (Location, "slice 0;", NotNeeded, "the same thing"),
    (Http, "charset off;", NotNeeded, "the same thing"),
    (Http, "charset utf-8;", Lost, "nginx adds it to an upstream's `Content-Type: text/html`, as an experiment shows"),
    (Http, "override_charset on;", Lost, "nginx writes bodies anew"),
    (Http, "charset_types text/html;", NotNeeded, "a part of `charset`"),
    (Http, "charset_map koi8-r utf-8 { 80 E282AC; }", NotNeeded, "a part of `charset`"),
    (Http, "source_charset utf-8;", NotNeeded, "a part of `charset`"),
    (Http, "gzip off;", NotNeeded, "the same thing"),
    (Http, "gzip on;", Lost, "nginx compresses text/html and says so in `Content-Encoding`"),
    (Http, "gzip_types text/css;", NotNeeded, "a part of `gzip`"),
    (Http, "gzip_vary on;", NotNeeded, "a part of `gzip`"),
    (Http, "gunzip on;", Lost, "a client that cannot unpack is sent packed answers"),
    (Http, "gunzip_buffers 4 8k;", NotNeeded, "memory alone"),
    (Http, "brotli on;", Lost, "nginx compresses"),
    (Http, "brotli_types text/css;", NotNeeded, "a part of `brotli`"),
    (Http, "brotli_static on;", NotNeeded, "for files"),
    (Location, "ssi on;", Lost, "nginx fills pages in"),
    (Location, "ssi off;", NotNeeded, "the same thing"),
    (Location, "ssi_types text/html;", NotNeeded, "a part of `ssi`"),
    (Location, "sub_filter a b;", Lost, "nginx writes pages anew"),
    (Location, "sub_filter_once off;", NotNeeded, "a part of `sub_filter`"),
    (Location, "add_after_body /x;", Lost, "nginx writes pages anew"),
    (Location, "add_before_body /x;", Lost, "nginx writes pages anew"),
    (Location, "addition_types text/html;", NotNeeded, "a part of what nginx writes anew"),
    (Location, "image_filter size;", Lost, "nginx writes pictures anew"),
    (Location, "image_filter_buffer 1m;", NotNeeded, "a part of `image_filter`"),
    (Location, "xslt_stylesheet x;", Lost, "nginx writes pages anew"),
    (Location, "xslt_types text/xml;", NotNeeded, "a part of `xslt_stylesheet`"),
    // The cache.
    (Location, "proxy_cache off;", NotNeeded, "the same thing"),
    (Location, "proxy_cache z;", Lost, "nginx answers without asking the upstream"),
    (Location, "proxy_cache_bypass $http_upgrade;", NotNeeded, "a part of `proxy_cache`"),
    (Location, "proxy_cache_valid 1m;", NotNeeded, "a part of `proxy_cache`"),
    (Location, "proxy_no_cache 1;", NotNeeded, "a part of `proxy_cache`"),
    (Location, "proxy_store off;", NotNeeded, "the same thing"),
    (Location, "proxy_store on;", Lost, "nginx writes answers to files"),
    (Location, "proxy_store_access user:rw;", NotNeeded, "a part of `proxy_store`"),
    // Clients under TLS.
    (Server, "listen 8443 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;", Carried("tls: "), "the same thing"),
    (Server, "ssl_certificate cert.pem; ssl_certificate_key key.pem; listen 8443 ssl;", Carried("cert: "), "the same thing"),
    (Server, "ssl_certificate_key key.pem; ssl_certificate cert.pem; listen 8443 ssl;", Carried("key: "), "the same thing"),
    (Server, "ssl on; ssl_certificate cert.pem; ssl_certificate_key key.pem;", Carried("tls: "), "the same thing"),
    (Server, "ssl_protocols TLSv1.2 TLSv1.3;", NotNeeded, "the same thing"),
    (Server, "ssl_protocols TLSv1.2;", NotNeeded, "no client of TLS 1.2 is hurt by 1.3 beside it"),
    (Server, "ssl_protocols TLSv1 TLSv1.1 TLSv1.2;", NotNeeded, "OpenSSL 3 refuses TLS 1.0 and 1.1 all the same, as `openssl s_client -tls1_1` shows"),
    (Server, "ssl_protocols TLSv1 TLSv1.1;", Lost, "clients of TLS 1.2 are served here"),
    (Server, "ssl_protocols TLSv1.3;", Lost, "nginx refuses TLS 1.2"),
    (Server, "ssl_ciphers HIGH:!aNULL:!MD5;", NotNeeded, "there is one that both have"),
    (Server, "ssl_ciphers AES128-SHA;", Lost, "none that wsgate has"),
    (Server, "ssl_ciphers DEFAULT@SECLEVEL=0;", Lost, "with it nginx serves clients of TLS 1.0"),
    (Server, "ssl_buffer_size 4k;", NotNeeded, "speed alone"),
    (Server, "ssl_dhparam x.pem;", NotNeeded, "for ciphers that no client needs"),
    (Server, "ssl_early_data on;", NotNeeded, "a client whose early data is refused sends it again"),
    (Server, "ssl_ecdh_curve secp384r1;", NotNeeded, "a client chooses among several sound curves"),
    (Server, "ssl_prefer_server_ciphers on;", NotNeeded, "all are sound"),
    (Server, "ssl_session_cache shared:a:1m;", NotNeeded, "sessions are resumed"),
    (Server, "ssl_session_ticket_key x.key;", NotNeeded, "sessions are resumed"),
    (Server, "ssl_session_tickets off;", NotNeeded, "sessions are resumed"),
    (Server, "ssl_session_timeout 1d;", NotNeeded, "sessions are resumed"),
    (Server, "ssl_password_file pw;", Lost, "a key with a password cannot be read"),
    (Server, "ssl_reject_handshake on;", Lost, "nginx refuses an unknown name before HTTP"),
    (Server, "ssl_reject_handshake off;", NotNeeded, "the same thing"),
    (Server, "ssl_stapling off;", NotNeeded, "the same thing"),
    (Server, "ssl_stapling on;", Lost, "a browser that sees must-staple refuses the certificate"),
    (Server, "ssl_stapling_file x;", Lost, "a browser that sees must-staple refuses the certificate"),
    (Server, "ssl_stapling_responder http://a.test/;", NotNeeded, "a part of `ssl_stapling`"),
    (Server, "ssl_stapling_verify on;", NotNeeded, "a part of `ssl_stapling`"),
    (Server, "ssl_trusted_certificate cert.pem;", NotNeeded, "a part of `ssl_stapling`"),
    (Server, "ssl_conf_command Options KTLS;", NotNeeded, "speed alone"),
    (Server, "ssl_conf_command MinProtocol TLSv1;", Lost, "nginx serves clients that wsgate refuses"),
    // Versions of HTTP.
    (Http, "http2_max_concurrent_streams 64;", NotNeeded, "a part of HTTP/2, which every client does without"),
    (Server, "http2 on;", NotNeeded, "every client of HTTP/2 speaks HTTP/1.1"),
    (Server, "http3 on;", NotNeeded, "every client of HTTP/3 speaks HTTP/1.1"),
    (Server, "http3_hq on;", NotNeeded, "a part of HTTP/3"),
    (Server, "quic_retry on;", NotNeeded, "a part of HTTP/3"),
    // Who may, and how many.
    (Location, "allow 10.0.0.0/8; deny all;", Carried("allow: 10.0.0.0/8"), "the same thing"),
    (Location, "deny 10.0.0.0/8;", Carried("deny: 10.0.0.0/8"), "the same thing"),
    (Http, "limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s;", Lost, "nginx answers 503 beyond it"),
    (Http, "limit_conn_zone $binary_remote_addr zone=a:1m;", Lost, "nginx answers 503 beyond it"),
    (Location, "limit_req zone=r;", Lost, "nginx answers 503 beyond it"),
    (Location, "limit_conn c 10;", Lost, "nginx answers 503 beyond it"),
    (Location, "limit_req_status 429;", NotNeeded, "a part of `limit_req`"),
    (Location, "limit_req_log_level warn;", NotNeeded, "for the log"),
    (Location, "limit_req_dry_run on;", NotNeeded, "a part of `limit_req`"),
    (Location, "limit_conn_status 429;", NotNeeded, "a part of `limit_conn`"),
    (Location, "limit_conn_log_level warn;", NotNeeded, "for the log"),
    (Location, "limit_conn_dry_run on;", NotNeeded, "a part of `limit_conn`"),
    // Variables, and what decides by them.
    (Location, "set $limit_rate 10k;", Lost, "it limits the rate"),
    (Location, "set $args a=b;", Lost, "the upstream gets another query"),
    (Location, "rewrite ^/a/(.*)$ /$1 break;", Carried("^/a/(.*)$: /$1"), "the same thing"),
    (Server, "rewrite ^/a/(.*)$ /$1 break;", Lost, "the location of another path answers in nginx"),
    (Location, "rewrite ^/a /b last;", Lost, "the location of another path answers in nginx"),
    (Location, "break;", NotNeeded, "what it ends is judged on its own"),
    (Http, "geo $g { default 1; }", Lost, "there are no variables to make"),
    (Http, "split_clients $remote_addr $s { * x; }", Lost, "there are no variables to make"),
    (Http, "map $uri $m { default 1; /a 2; }", NotNeeded, "nothing uses its variable"),
    (Http, "map $uri $n { default 1; }", NotNeeded, "its one value stands where its variable is used"),
    (Location, "set $a b;", NotNeeded, "its value stands where it is used"),
    (Location, "auth_request_set $a $upstream_status;", Lost, "there are no variables to make"),
    (Http, "geoip_country x.dat;", Lost, "there are no variables to make"),
    (Server, "include nowhere.conf;", Lost, "what stands in it is unknown"),
    (Http, "include mime.types;", NotNeeded, "for files"),
];

/// Rows for what other tests show at length: in which list a directive is depends on the rest of the file.
const ELSEWHERE: &[(&str, &str)] = &[
    ("http", "its directives are judged one by one"),
    ("server", "`tests/import/*.conf`"),
    ("listen", "`tests/import/ports.conf`, `unix_sockets.conf`"),
    ("server_name", "`tests/import/wildcards.conf`"),
    ("location", "`tests/import/paths.conf`, `nested.conf`"),
    ("upstream", "`tests/import/docker.conf`"),
    ("proxy_pass", "`tests/import/*.conf`"),
    (
        "proxy_ssl_trusted_certificate",
        "`tests/import/sockets.conf`",
    ),
    ("return", "`tests/import/returns.conf`"),
    ("internal", "`tests/import/returns.conf`"),
    (
        "try_files",
        "`tests/import/rails.conf`, `server_try_files.conf`",
    ),
    ("map", "`tests/import/maps.conf`"),
    ("set", "`tests/import/constants.conf`"),
    ("include", "`tests/import/includes.conf`"),
    ("fastcgi_pass", "`tests/import/docker.conf`"),
    ("uwsgi_pass", "as `fastcgi_pass`"),
    ("scgi_pass", "as `fastcgi_pass`"),
    ("grpc_pass", "as `fastcgi_pass`"),
    ("memcached_pass", "as `fastcgi_pass`"),
    ("stub_status", "as `fastcgi_pass`"),
    ("fastcgi_*", "as `fastcgi_pass`"),
    ("uwsgi_*", "as `fastcgi_pass`"),
    ("scgi_*", "as `fastcgi_pass`"),
    ("grpc_*", "as `fastcgi_pass`"),
    ("memcached_*", "as `fastcgi_pass`"),
    (
        "if",
        "`tests/import/certbot.conf`, `conditions.conf`, `guards_if.conf`",
    ),
    ("satisfy", "`tests/import/guards_inherited.conf`"),
    (
        "limit_except",
        "`tests/import/access.conf`, `guards_inherited.conf`",
    ),
    (
        "auth_*",
        "`tests/import/access.conf`, `guards_inherited.conf`",
    ),
    ("auth_basic_user_file", "as `auth_basic`"),
    ("auth_delay", "`tests/import/guards_inherited.conf`"),
    ("ssl_verify_client", "`tests/import/guards_tls.conf`"),
    ("ssl_client_certificate", "as `auth_basic`"),
    ("ssl_verify_depth", "as `auth_basic`"),
    ("ssl_crl", "as `auth_basic`"),
    ("ssl_ocsp", "as `auth_basic`"),
    ("ssl_ocsp_cache", "as `auth_basic`"),
    ("ssl_ocsp_responder", "as `auth_basic`"),
    (
        "set_real_ip_from",
        "`tests/import/real_ip.conf`, `unix_tls.conf`",
    ),
    ("real_ip_header", "`tests/import/real_ip.conf`"),
    ("real_ip_recursive", "`tests/import/real_ip.conf`"),
];

#[test]
fn each_directive_is_carried_over_or_not_needed_or_lost() {
    let plain = imported(Http, "");
    let mut wrong = String::new();
    for (at, text, becomes, why) in ROWS {
        let came = imported(*at, text);
        let name = name_of(text);
        let seen = (came.is_left(name), came.is_needless(name));
        let is_so = match becomes {
            Carried(key) => {
                seen == (false, false)
                    && came.routes().contains(key)
                    && !plain.routes().contains(key)
            }
            NotNeeded => seen == (false, true),
            Lost => seen.0,
        };
        if !is_so {
            wrong += &format!(
                "`{text}` becomes {becomes:?} ({why}), but: {}\n",
                came.0.yaml
            );
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn no_directive_that_the_import_knows_is_without_a_row() {
    let known: BTreeSet<&str> = wsgate::nginx::known_directives().collect();
    let fits = |known: &str, name: &str| match known.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => known == name,
    };
    let rows: BTreeSet<&str> = ROWS.iter().map(|(_, text, ..)| name_of(text)).collect();
    let others: BTreeSet<&str> = ELSEWHERE.iter().map(|(name, _)| *name).collect();
    let missing: Vec<&&str> = known
        .iter()
        .filter(|known| !others.contains(**known) && !rows.iter().any(|row| fits(known, row)))
        .collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    let unknown: Vec<&&str> = rows
        .iter()
        .chain(&others)
        .filter(|name| {
            !known
                .iter()
                .any(|known| known == *name || fits(known, name))
        })
        .collect();
    assert!(unknown.is_empty(), "the import has no rule for {unknown:?}");
    for (name, where_else) in ELSEWHERE {
        for file in where_else
            .split('`')
            .filter(|word| word.ends_with(".conf") && !word.contains('*'))
        {
            let file = file.rsplit('/').next().unwrap();
            assert!(super::fixtures().join(file).is_file(), "{name}: {file}");
        }
    }
}

/// What nginx may miss on a machine where the rows are right all the same: modules, and files.
const NOT_HERE: [&str; 15] = [
    "unknown directive",
    // Of nginx's commercial edition, or of later versions.
    "invalid parameter \"least_time=header\"",
    "invalid parameter \"drain\"",
    "invalid parameter \"resolve\"",
    "invalid parameter \"service=http\"",
    "invalid parameter \"route=a\"",
    "invalid parameter \"slow_start=30s\"",
    // Of a module.
    "invalid parameter \"other=1\"",
    "\"resolver\" directive is not allowed here",
    "\"resolver_timeout\" directive is not allowed here",
    "No such file",
    "zero size shared memory zone",
    "cannot load certificate",
    "zone \"",
    // A name that is a variable of the environment.
    "host not found in upstream",
];

#[test]
fn nginx_takes_each_row() {
    let dir = TempDir::new().unwrap();
    write_pair(dir.path());
    let mut taken = 0;
    for (at, text, ..) in ROWS {
        let conf = conf(*at, text);
        fs::write(dir.path().join("nginx.conf"), &conf).unwrap();
        let output = Command::new(binary())
            .args(["-t", "-p", "./", "-e", "stderr", "-c", "nginx.conf"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            taken += 1;
        } else {
            assert!(
                NOT_HERE.iter().any(|what| said.contains(what)),
                "{text}\n{said}\n{conf}"
            );
        }
    }
    println!("nginx took {taken} of {} rows", ROWS.len());
    assert!(taken > 200, "{taken}");
}

/// The name of the first directive in a text.
fn name_of(text: &str) -> &str {
    text.split([' ', ';']).next().unwrap()
}

/// What became of a file.
struct Came(wsgate::nginx::Imported);

impl Came {
    fn is_left(&self, name: &str) -> bool {
        let mut left = self.0.left.iter();
        left.any(|left| left.what.split(' ').next() == Some(name))
    }

    fn is_needless(&self, name: &str) -> bool {
        let (_, needless) = self
            .0
            .yaml
            .split_once("# Not needed here:")
            .unwrap_or_default();
        needless.contains(&format!("`{name}`")) || needless.contains(&format!("`{name} "))
    }

    /// The file without its comments.
    fn routes(&self) -> String {
        let lines = self
            .0
            .yaml
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn imported(at: At, text: &str) -> Came {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("nginx.conf");
    fs::write(&file, conf(at, text)).unwrap();
    match wsgate::nginx::import(&file) {
        Ok(imported) => Came(imported),
        Err(error) => panic!("{text}: {error:?}"),
    }
}

/// A small file with `text` in one of its blocks.
fn conf(at: At, text: &str) -> String {
    let here = |block| if at == block { text } else { "" };
    let events = match text.starts_with("events") {
        true => "",
        false => "events { }",
    };
    let (main, http, server, location) = (here(Main), here(Http), here(Server), here(Location));
    let (group, location) = match at {
        Upstream => (text, "proxy_pass http://group;"),
        _ => ("", location),
    };
    let listen = match server.contains("listen") || server.contains("ssl on") {
        true => "",
        false => "listen 127.0.0.1:8080;",
    };
    let pass = match location.contains("proxy_pass ") {
        true => "",
        false => "proxy_pass http://127.0.0.1:3000;",
    };
    format!(
        "{main}\n{events}\nhttp {{ {http}\n\
         upstream group {{ server 127.0.0.1:3001; server 127.0.0.1:3002; {group} }}\nserver {{ {listen} {server}\n\
         location / {{ {pass} {location} }} }} }}\n"
    )
}
