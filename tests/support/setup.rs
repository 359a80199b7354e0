//! A `routes.yaml` in the making.

use std::fmt::Display;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::process::Finished;
use crate::support::process::Process;
use crate::support::process::Stderr;
use crate::support::process::Surroundings;
use crate::support::server::LogFormat;
use crate::support::server::TestServer;
use crate::support::tls;
use crate::support::upstream::Upstream;

/// What a test wants wsgate to be told. Without an address it listens on one of the system's.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    whole: Option<String>,
    top: String,
    listen: String,
    routes: String,
    log_format: LogFormat,
    pipe: bool,
    uid: Option<u32>,
    descriptors: Option<u32>,
    stderr: Stderr,
    files: Vec<(&'static str, String)>,
    environment: Vec<(&'static str, String)>,
}

impl Setup {
    /// A whole `routes.yaml`, in place of all that is set else.
    pub(crate) fn whole(mut self, yaml: String) -> Self {
        self.whole = Some(yaml);
        self
    }

    /// A line at the top, such as `drain_timeout: 500ms`.
    pub(crate) fn top(mut self, line: &str) -> Self {
        self.top += line;
        self.top.push('\n');
        self
    }

    /// A listener in addition; the first one is the one that `connect` uses.
    pub(crate) fn address(mut self, address: impl Display) -> Self {
        writeln!(self.listen, "  - address: \"{address}\"").unwrap();
        self
    }

    /// A listener with TLS in addition.
    pub(crate) fn tls(mut self) -> Self {
        if self.listen.is_empty() {
            self = self.address("127.0.0.1:0");
        }
        self.listen += "  - address: \"127.0.0.1:0\"\n    tls: { cert: cert.pem, key: key.pem }\n";
        self
    }

    /// A location that leads to an upstream.
    pub(crate) fn route(self, location: &str, upstream: &Upstream) -> Self {
        self.proxy_pass(location, format!("http://{}", upstream.address()))
    }

    /// A location that leads to an upstream at a path of its own.
    pub(crate) fn route_to(self, location: &str, upstream: &Upstream, uri: &str) -> Self {
        self.proxy_pass(location, format!("http://{}{uri}", upstream.address()))
    }

    /// A location that leads anywhere.
    pub(crate) fn proxy_pass(mut self, location: &str, to: impl Display) -> Self {
        let location = location.replace('\'', "''");
        writeln!(
            self.routes,
            "  - location: '{location}'\n    proxy_pass: \"{to}\""
        )
        .unwrap();
        self
    }

    /// An entry of `routes` as it is written, without its dash.
    pub(crate) fn raw_route(mut self, route: &str) -> Self {
        writeln!(self.routes, "  - {route}").unwrap();
        self
    }

    /// A first listener that sends its clients to the one with TLS.
    pub(crate) fn redirect(mut self) -> Self {
        self = self.address("127.0.0.1:0");
        self.listen += "    redirect: https\n";
        self
    }

    /// A further key of the last listener.
    pub(crate) fn of_listener(mut self, line: &str) -> Self {
        writeln!(self.listen, "    {line}").unwrap();
        self
    }

    /// A further key of the last location.
    pub(crate) fn of_route(mut self, line: &str) -> Self {
        writeln!(self.routes, "    {line}").unwrap();
        self
    }

    /// A file beside `routes.yaml`.
    pub(crate) fn file(mut self, name: &'static str, content: impl Into<String>) -> Self {
        self.files.push((name, content.into()));
        self
    }

    /// A variable of the environment.
    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Log lines for people instead of JSON.
    pub(crate) fn text_log(mut self) -> Self {
        self.log_format = LogFormat::Text;
        self
    }

    /// `routes.yaml` is a pipe, from which it can be read once.
    pub(crate) fn through_a_pipe(mut self) -> Self {
        self.pipe = true;
        self
    }

    /// Under another user's number. Only root may.
    pub(crate) fn user(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// With so many descriptors and no more.
    pub(crate) fn descriptors(mut self, most: u32) -> Self {
        self.descriptors = Some(most);
        self
    }

    /// Where its log goes.
    pub(crate) fn stderr(mut self, stderr: Stderr) -> Self {
        self.stderr = stderr;
        self
    }

    /// Starts wsgate and waits until it listens.
    pub(crate) async fn start(self) -> TestServer {
        let log_format = self.log_format;
        let (process, dir) = self.spawn();
        TestServer::ready(process, dir, log_format).await
    }

    /// The same where nothing can be read of its log.
    pub(crate) async fn start_unheard(self) -> TestServer {
        let (process, dir) = self.spawn();
        TestServer::unheard(process, dir).await
    }

    /// Starts wsgate and waits until it has ended by itself.
    pub(crate) async fn fail(self) -> Finished {
        let (mut process, _dir) = self.spawn();
        process.finished().await
    }

    /// The text of the file.
    pub(crate) fn yaml(&self) -> String {
        let listen = if self.listen.is_empty() {
            "  - address: \"127.0.0.1:0\"\n"
        } else {
            &self.listen
        };
        self.whole
            .clone()
            .unwrap_or_else(|| format!("{}listen:\n{listen}routes:\n{}", self.top, self.routes))
    }

    fn spawn(self) -> (Process, TempDir) {
        let dir = TempDir::new().unwrap();
        let yaml = self.yaml();
        let file = dir.path().join("routes.yaml");
        if self.pipe {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mkfifoat(rustix::fs::CWD, &file, mode).unwrap();
            let yaml = yaml.clone();
            // Opening it waits for a reader.
            std::thread::spawn(move || fs::write(file, yaml));
        } else {
            fs::write(file, &yaml).unwrap();
        }
        for (name, content) in &self.files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        if yaml.contains("cert.pem") {
            tls::write_pair(dir.path());
        }
        let binary = match self.uid {
            None => PathBuf::from(env!("CARGO_BIN_EXE_wsgate")),
            Some(_) => shared_copy(dir.path()),
        };
        let format = match self.log_format {
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        };
        let args = ["--config", "routes.yaml", "--log-format", format];
        let surroundings = Surroundings {
            dir: dir.path(),
            uid: self.uid,
            environment: &self.environment,
            descriptors: self.descriptors,
            stderr: self.stderr,
        };
        let process = Process::start(&binary, &args, &surroundings);
        (process, dir)
    }
}

/// A copy that other users can run, wherever the target directory is.
fn shared_copy(dir: &Path) -> PathBuf {
    let binary = dir.join("wsgate");
    fs::copy(env!("CARGO_BIN_EXE_wsgate"), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    binary
}
