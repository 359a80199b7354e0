//! Finds the differences between two configurations, in the words of the file. A reload logs them.

mod groups;
mod listening;
mod routes;
mod settings;

use std::fmt;
use std::time::Duration;

use crate::config::Config;
use crate::server::changes::groups::SessionsOf;
use crate::server::changes::groups::groups;
use crate::server::changes::listening::certificates;
use crate::server::changes::listening::listeners;
use crate::server::changes::routes::routes;
use crate::server::changes::settings::settings;
use crate::server::listeners::Listeners;

pub(super) use crate::server::changes::listening::certificate;
pub(super) use crate::server::changes::routes::by_requests;
pub(super) use crate::server::changes::routes::requests;

/// Whether something was added, removed or changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChangeSign {
    /// Only the new configuration has it.
    Added,
    /// Only the old configuration has it.
    Removed,
    /// Both configurations have it, and it is not the same.
    Changed,
}

impl ChangeSign {
    /// The sign as a word, for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

impl fmt::Display for ChangeSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "+",
            Self::Removed => "-",
            Self::Changed => "~",
        })
    }
}

/// One difference between two configurations.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Whether it was added, removed or changed.
    pub sign: ChangeSign,
    /// What is different: `location`, `upstream`, `server`, `listen`, `tls`, or a key at the top of the file.
    pub kind: &'static str,
    /// Which of that kind it is; for a key at the top its new value.
    pub name: String,
    /// What is different about it; empty where nothing is to be said.
    pub detail: String,
    /// The place in a file where it stands: `routes.yaml:9`.
    pub place: Option<String>,
}

/// Prints a difference on one line: `+ location /chat -> http://127.0.0.1:5003   routes.yaml:9`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sign, self.kind)?;
        for part in [&self.name, &self.detail] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        match &self.place {
            Some(place) => write!(f, "   {place}"),
            None => Ok(()),
        }
    }
}

/// A configuration, and what serves it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServingState<'a> {
    /// The configuration.
    pub(super) config: &'a Config,
    /// The listeners that are open for it.
    pub(super) listeners: &'a Listeners,
    /// How many threads serve, whatever the file says.
    pub(super) threads: usize,
}

/// All differences: listeners, certificates, groups, routes, and the keys at the top.
pub(super) fn between(
    before: ServingState<'_>,
    after: ServingState<'_>,
    sessions_of: SessionsOf<'_>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    listeners(before, after, &mut changes);
    certificates(before, after, &mut changes);
    groups(before.config, after.config, sessions_of, &mut changes);
    routes(before.config, after.config, &mut changes);
    settings(before, after, &mut changes);
    for change in &mut changes {
        for text in [&mut change.name, &mut change.detail] {
            *text = before.config.filled.as_written(text);
            *text = after.config.filled.as_written(text);
        }
    }
    changes
}

/// A duration, and the one that it replaces.
fn from_to(was: Duration, is: Duration) -> String {
    format!("{is:?} (was {was:?})")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use serde_json::Value;
    use serde_json::json;
    use tempfile::TempDir;
    use time::OffsetDateTime;

    use crate::config::Config;
    use crate::config::Environment;
    use crate::config::JSON_SCHEMA;
    use crate::server::changes::ServingState;
    use crate::server::changes::between;
    use crate::server::keep_upstreams::keep_upstreams;
    use crate::server::listeners::Listeners;

    /// Reads files, one after the other, from a folder of its own.
    struct Reader(TempDir);

    impl Reader {
        fn read(&self, file: &Value) -> Config {
            let path = self.0.path().join("routes.yaml");
            fs::write(&path, file.to_string()).unwrap();
            let (config, _) =
                Config::read(&path, &Environment::default(), OffsetDateTime::UNIX_EPOCH).unwrap();
            config
        }

        /// The path of an authority's certificate.
        fn ca(&self) -> PathBuf {
            let path = self.0.path().join("ca.pem");
            let made = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap();
            fs::write(&path, made.cert.pem()).unwrap();
            path
        }

        /// What is told when one file replaces another: what is different, and the text about it.
        fn told(&self, before: &Value, after: &Value) -> Vec<(&'static str, String)> {
            let (before, mut after) = (self.read(before), self.read(after));
            keep_upstreams(&mut after, &before);
            let listeners = Listeners::default();
            let state = |config| ServingState {
                config,
                listeners: &listeners,
                threads: 1,
            };
            let changes = between(state(&before), state(&after), &|_, _| 0).into_iter();
            changes.map(|change| (change.kind, change.detail)).collect()
        }
    }

    fn file() -> Value {
        json!({
            "listen": [{ "address": 8080 }],
            "routes": [{ "location": "/", "proxy_pass": "http://127.0.0.1:3000" }],
            // Left out, this would be the number of cores, which may be that of the example.
            "threads": 1,
        })
    }

    /// The keys of a map in the JSON Schema, each with values that it may have.
    fn keys(map: &str) -> Vec<(String, Vec<Value>)> {
        let schema: Value = serde_json::from_str(JSON_SCHEMA).unwrap();
        let keys = schema.pointer(map).unwrap().as_object().unwrap();
        let values = |key: &Value| key.get("examples").or(key.get("enum")).cloned();
        let keys = keys.iter().map(|(key, described)| {
            let values = values(described).unwrap();
            (key.clone(), values.as_array().unwrap().clone())
        });
        keys.collect()
    }

    #[test]
    fn a_reload_tells_of_every_key_at_the_top() {
        let reader = Reader(TempDir::new().unwrap());
        let mut asked = 0;
        for (key, values) in keys("/properties") {
            // Their entries are told of one by one, and what a test expects changes nothing that serves.
            if ["listen", "upstreams", "routes", "tests"].contains(&key.as_str()) {
                continue;
            }
            let is_told = |value: &Value| {
                let mut after = file();
                after[&key] = value.clone();
                let told = reader.told(&file(), &after);
                told.iter()
                    .any(|(kind, detail)| *kind == key || detail.starts_with(&key))
            };
            assert!(values.iter().any(is_told), "{key}");
            asked += 1;
        }
        assert!(asked >= 14, "only {asked} keys were found");
    }

    #[test]
    fn a_reload_tells_of_every_key_of_a_group() {
        let reader = Reader(TempDir::new().unwrap());
        for (map, pointer) in [
            ("group", "/upstreams/chat"),
            ("server", "/upstreams/chat/servers/0"),
        ] {
            for (key, values) in keys(&format!("/definitions/{map}/properties")) {
                let mut before = file();
                before["routes"][0]["proxy_pass"] = json!("http://chat");
                let servers = json!([{ "server": "a.test:1" }, { "server": "b.test:1" }]);
                before["upstreams"] = json!({ "chat": { "servers": servers } });
                if key == "close_tunnels" {
                    before["upstreams"]["chat"]["health_check"] = json!("engine_io");
                }
                let is_told = |value: &Value| {
                    let mut after = before.clone();
                    after.pointer_mut(pointer).unwrap()[&key] = value.clone();
                    !reader.told(&before, &after).is_empty()
                };
                assert!(values.iter().any(is_told), "{map} {key}");
            }
        }
    }

    #[test]
    fn a_reload_tells_of_every_key_of_a_route() {
        let reader = Reader(TempDir::new().unwrap());
        let mut asked = 0;
        for (key, values) in keys("/definitions/route/properties") {
            // The file of an authority would have to be made; `tests/reload` has one.
            if key == "ca" {
                continue;
            }
            let is_told = |value: &Value| {
                let mut before = file();
                if key == "missing_origin" {
                    before["routes"][0]["allowed_origins"] = json!("https://a.example.com");
                }
                if key == "tls_name" {
                    before["routes"][0]["proxy_pass"] = json!("https://10.0.0.5");
                    before["routes"][0]["ca"] = json!(reader.ca());
                }
                let mut after = before.clone();
                if key == "return" {
                    after["routes"][0] = json!({ "location": "/" });
                }
                after["routes"][0][&key] = value.clone();
                !reader.told(&before, &after).is_empty()
            };
            // What this machine trusts must not matter.
            let plain =
                |value: &&Value| !value.to_string().contains("https://chat.example.com:443");
            assert!(values.iter().filter(plain).any(is_told), "{key}");
            asked += 1;
        }
        assert!(asked >= 14, "only {asked} keys were found");
    }
}
