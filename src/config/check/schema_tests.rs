//! Holds the JSON Schema of `docs/routes.schema.json` to the rules: it has the same keys and no others, the defaults of
//! the code, and examples that can be served.
//!
//! What an editor makes of a file with it is tested with the editors' own language server, in `tests/peers`.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::answer_fields::is_fixed;
use crate::clients::ClientKind;
use crate::config::Action;
use crate::config::Config;
use crate::config::Environment;
use crate::config::JSON_SCHEMA;
use crate::config::check::keys::Within;
use crate::config::set_headers::NEVER_SET;
use crate::config::values::MOST_CONNECTIONS;
use crate::config::values::MOST_FAILS;
use crate::config::values::MOST_HANDSHAKES;
use crate::config::values::MOST_THREADS;

fn schema() -> Value {
    serde_json::from_str(JSON_SCHEMA).unwrap()
}

/// The part of the schema that describes the map `within`.
fn map(schema: &Value, within: Within) -> &Value {
    let pointer = match within {
        Within::Top => "",
        Within::Listen => "/definitions/listener",
        Within::Route => "/definitions/route",
        Within::Pair => "/definitions/pair",
        Within::When => "/definitions/route/properties/when",
        Within::AddedField => "/definitions/added_field/then",
        Within::PerIp => "/properties/per_ip",
        Within::Test => "/definitions/test",
        Within::Group => "/definitions/group",
        Within::Server => "/definitions/server",
        Within::Balance => "/definitions/balance",
        Within::Cookie => "/definitions/cookie",
        Within::HealthCheck => "/definitions/health_check",
    };
    schema.pointer(pointer).unwrap()
}

fn properties(schema: &Value, within: Within) -> Vec<(String, &Value)> {
    let properties = map(schema, within)["properties"].as_object().unwrap();
    let pairs = properties.iter().map(|(key, value)| (key.clone(), value));
    pairs.collect()
}

/// A folder that has every file which the examples name.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("certs")).unwrap();
    for name in ["chat.example.com", "wild.example.org", "ca"] {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let path = folder.path().join("certs").join(name);
        let ending = |ending| format!("{}.{ending}", path.display());
        fs::write(ending("pem"), made.cert.pem()).unwrap();
        fs::write(ending("key"), made.signing_key.serialize_pem()).unwrap();
    }
    folder
}

/// Reads `file` as wsgate does; all JSON is YAML.
fn read(file: &Value, folder: &TempDir) -> Result<Config, String> {
    let path = folder.path().join("routes.yaml");
    fs::write(&path, serde_json::to_string_pretty(file).unwrap()).unwrap();
    match Config::read(&path, &Environment::default(), OffsetDateTime::now_utc()) {
        Ok((config, _)) => Ok(config),
        Err(errors) => Err(errors.iter().map(|error| format!("{error}\n")).collect()),
    }
}

/// The smallest file that can be served.
fn minimal() -> Value {
    json!({
        "listen": [{ "address": 8080 }],
        "routes": [{ "location": "/", "proxy_pass": "http://127.0.0.1:3000" }],
    })
}

/// The smallest file with a map of this kind, if it is one of a group.
fn base(within: Within) -> Value {
    let mut file = minimal();
    if !within.is_of_a_group() {
        return file;
    }
    let servers = json!([{ "server": "app01:3000" }, { "server": "app02:3000" }]);
    file["upstreams"] = json!({ "chat": { "servers": servers } });
    file["routes"][0]["proxy_pass"] = json!("http://chat");
    if within == Within::Cookie {
        file["upstreams"]["chat"]["sticky"] = json!({ "cookie": "srv" });
    }
    file
}

/// The smallest file with one key of one map set to `value`, and with what must stand beside that key.
fn with(within: Within, key: &str, value: &Value) -> Value {
    let mut file = base(within);
    match within {
        Within::Top => file[key] = value.clone(),
        Within::Listen => {
            file["listen"][0][key] = value.clone();
            if key == "proxy_protocol" {
                file["trusted_proxies"] = json!("10.0.0.0/8");
            }
            if key == "mode" {
                file["listen"][0]["address"] = json!("unix:/run/wsgate.sock");
            }
            if key == "redirect" {
                let secure = json!({ "address": 8443, "tls": "self_signed" });
                file["listen"].as_array_mut().unwrap().push(secure);
            }
        }
        Within::Route => {
            let route = &mut file["routes"][0];
            match key {
                "return" => *route = json!({ "location": "/" }),
                "missing_origin" => route["allowed_origins"] = json!("https://a.example.com"),
                "ca" => route["proxy_pass"] = json!("https://10.0.0.5:8443"),
                "tls_name" => {
                    route["proxy_pass"] = json!("https://10.0.0.5:8443");
                    route["ca"] = json!("certs/ca.pem");
                }
                // With a `ca` the authorities of this machine do not matter.
                "proxy_pass" if value.as_str().is_some_and(|to| to.starts_with("https:")) => {
                    route["ca"] = json!("certs/ca.pem");
                }
                _ => {}
            }
            route[key] = value.clone();
        }
        Within::Pair => {
            let name = "certs/chat.example.com";
            let mut pair = json!({ "cert": format!("{name}.pem"), "key": format!("{name}.key") });
            pair[key] = value.clone();
            file["listen"][0]["tls"] = pair;
        }
        Within::When => file["routes"][0]["when"] = json!({ key: value }),
        Within::AddedField => {
            let mut field = json!({ "value": "1" });
            field[key] = value.clone();
            file["routes"][0]["add_headers"] = json!({ "X-A": field });
        }
        Within::PerIp => file["per_ip"] = json!({ key: value }),
        Within::Test => {
            let mut test = json!({ "url": "ws://a.example.com:8080/x", "expect": 404 });
            test[key] = value.clone();
            file["tests"] = json!([test]);
        }
        Within::Group => {
            let group = &mut file["upstreams"]["chat"];
            if key == "close_tunnels" && value == true {
                group["health_check"] = json!("engine_io");
            }
            group[key] = value.clone();
        }
        Within::Server => file["upstreams"]["chat"]["servers"][0][key] = value.clone(),
        Within::Balance | Within::HealthCheck => {
            let of = match within {
                Within::Balance => "balance",
                _ => "health_check",
            };
            file["upstreams"]["chat"][of] = json!({ key: value });
        }
        Within::Cookie => {
            let cookie = &mut file["upstreams"]["chat"]["sticky"];
            if value == "none" {
                cookie["secure"] = json!(true);
            }
            cookie[key] = value.clone();
        }
    }
    file
}

/// The values that the schema offers for a key: examples, default, the words that it may be, and those of its snippets.
fn values(schema: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut values = list(&schema["examples"]);
    values.extend(schema.get("default").cloned());
    values.extend(list(&schema["enum"]));
    for way in list(&schema["anyOf"]) {
        values.extend(list(&way["enum"]));
    }
    let stop = Regex::new(r"\$\{[0-9]:([^}]*)\}").unwrap();
    for snippet in list(&schema["defaultSnippets"]) {
        let body = stop
            .replace_all(&snippet["body"].to_string(), "$1")
            .into_owned();
        let body = serde_json::from_str(&body).unwrap();
        // The language server writes the dash of a list itself.
        values.push(match snippet["type"].as_str() {
            Some("array") => Value::Array(vec![body]),
            _ => body,
        });
    }
    values
}

#[test]
fn the_schema_has_the_keys_of_the_reader_and_no_others() {
    let schema = schema();
    for within in Within::ALL {
        let described = properties(&schema, within);
        let described: BTreeSet<_> = described.iter().map(|(key, _)| key.as_str()).collect();
        let read: BTreeSet<_> = within.keys().iter().map(|key| key.name).collect();
        assert_eq!(described, read, "{within:?}");
        assert_eq!(
            map(&schema, within)["additionalProperties"],
            json!(false),
            "{within:?}"
        );
    }
}

#[test]
fn every_key_is_described_and_has_a_value_to_offer() {
    let schema = schema();
    for within in Within::ALL {
        for (key, described) in properties(&schema, within) {
            let text = described["description"].as_str().unwrap_or_default();
            assert!(text.ends_with('.'), "{within:?} {key}: {text}");
            assert!(!values(described).is_empty(), "{within:?} {key}");
        }
    }
}

#[test]
fn every_example_can_be_served() {
    let schema = schema();
    let folder = folder();
    let mut served = 0;
    for within in Within::ALL {
        for (key, described) in properties(&schema, within) {
            for value in values(described) {
                let file = with(within, &key, &value);
                if let Err(said) = read(&file, &folder) {
                    panic!("{within:?} {key}: {value}\n{said}");
                }
                served += 1;
            }
        }
    }
    assert!(served >= 150, "only {served} examples were found");
}

#[test]
fn what_is_required_is_missed_by_the_reader() {
    let schema = schema();
    let folder = folder();
    let pair = with(Within::Pair, "cert", &json!("certs/chat.example.com.pem"));
    let test = with(Within::Test, "expect", &json!(404));
    let added = with(Within::AddedField, "always", &json!(true));
    let hash = with(Within::Balance, "hash", &json!("$arg_room"));
    for (within, whole, pointer) in [
        (Within::Top, minimal(), ""),
        (Within::Listen, minimal(), "/listen/0"),
        (Within::Route, minimal(), "/routes/0"),
        (Within::Pair, pair, "/listen/0/tls"),
        (Within::AddedField, added, "/routes/0/add_headers/X-A"),
        (Within::Test, test, "/tests/0"),
        (Within::Group, base(Within::Group), "/upstreams/chat"),
        (
            Within::Server,
            base(Within::Server),
            "/upstreams/chat/servers/0",
        ),
        (Within::Balance, hash, "/upstreams/chat/balance"),
        (
            Within::Cookie,
            base(Within::Cookie),
            "/upstreams/chat/sticky",
        ),
    ] {
        read(&whole, &folder).unwrap();
        let keys = whole.pointer(pointer).unwrap().as_object().unwrap().clone();
        for key in keys.keys() {
            let mut file = whole.clone();
            let here = file.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            here.remove(key);
            let missed =
                read(&file, &folder).is_err_and(|said| said.contains(&format!("has no `{key}`")));
            let required = map(&schema, within)["required"].as_array().unwrap();
            // A route needs `proxy_pass` or `return`, which the schema says by `else`.
            let required = required.contains(&json!(key)) || key == "proxy_pass";
            assert_eq!(missed, required, "{within:?} {key}");
        }
    }
    assert_eq!(
        schema["definitions"]["route"]["else"]["required"],
        json!(["proxy_pass"])
    );
}

/// The values of a configuration that are set by keys with a default.
fn settings(file: &Value, folder: &TempDir) -> String {
    let config = read(file, folder).unwrap();
    let reuseport = config.listeners[0].reuseport;
    let proxy_protocol = config.listeners[0].proxy_protocol;
    let mode = config.listeners[0].mode;
    let group = match &config.routes[0].to {
        Action::ProxyPass(upstream) => upstream.group(),
        Action::Return(_) => None,
    };
    let group = group.map(|group| {
        let members = group.written().iter().map(|written| &written.settings);
        format!("{:?} {:?}", group.settings(), members.collect::<Vec<_>>())
    });
    format!(
        "{:?} {:?} {:?} {:?} {reuseport} {proxy_protocol} {mode:o} {group:?}",
        config.routes[0].timeouts, config.limits, config.drain_timeout, config.access_log
    )
}

#[test]
fn the_defaults_are_those_of_the_code() {
    let schema = schema();
    let folder = folder();
    let mut defaults = Vec::new();
    for within in Within::ALL {
        let usual = settings(&base(within), &folder);
        for (key, described) in properties(&schema, within) {
            let Some(default) = described.get("default") else {
                continue;
            };
            assert_eq!(
                settings(&with(within, &key, default), &folder),
                usual,
                "{key}"
            );
            // Editors do not show the default, so the description must.
            let shown = default.as_str().map_or(default.to_string(), str::to_owned);
            let text = described["description"].as_str().unwrap();
            assert!(text.ends_with(&format!(" Left out: {shown}.")), "{key}");
            for example in described["examples"].as_array().unwrap() {
                let other = settings(&with(within, &key, example), &folder);
                assert_ne!(other, usual, "{key}: {example} is the default");
            }
            defaults.push(key);
        }
    }
    // The other keys have no default: left out they mean no TLS, no condition, no test, or a number that the machine
    // decides.
    let mut expected = vec!["access_log", "mode", "proxy_protocol", "reuseport"];
    expected.extend(["balance", "sticky", "slow_start", "close_tunnels", "valid"]);
    expected.extend([
        "weight",
        "max_fails",
        "fail_timeout",
        "backup",
        "down",
        "drain",
    ]);
    expected.extend(["resolve", "path", "httponly", "secure"]);
    let keys = Within::Top.keys().iter().map(|key| key.name);
    expected.extend(keys.filter(|key| key.ends_with("_timeout")));
    expected.sort_unstable();
    defaults.sort_unstable();
    assert_eq!(defaults, expected);
}

#[test]
fn what_the_schema_enumerates_is_all_there_is() {
    let schema = schema();
    let clients = &schema["definitions"]["test"]["properties"]["client"]["anyOf"][0];
    let names: Vec<&str> = ClientKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(clients["enum"], json!(names));
    assert_eq!(
        clients["enumDescriptions"].as_array().unwrap().len(),
        names.len()
    );
    assert_eq!(
        schema["properties"]["threads"]["maximum"],
        json!(MOST_THREADS)
    );
    assert_eq!(
        schema["properties"]["max_connections"]["maximum"],
        json!(MOST_CONNECTIONS)
    );
    let each = &schema["properties"]["per_ip"]["properties"];
    assert_eq!(each["connections"]["maximum"], json!(MOST_CONNECTIONS));
    assert_eq!(
        each["handshakes_per_second"]["maximum"],
        json!(MOST_HANDSHAKES)
    );

    let server = &schema["definitions"]["server"]["properties"];
    assert_eq!(server["weight"]["maximum"], json!(u16::MAX));
    assert_eq!(server["max_fails"]["maximum"], json!(MOST_FAILS));
    assert_eq!(server["max_conns"]["maximum"], json!(MOST_CONNECTIONS));

    let fields = &schema["definitions"]["route"]["properties"]["set_headers"];
    let never = fields["patternProperties"].as_object().unwrap();
    let (pattern, refused) = never.iter().next().unwrap();
    assert_eq!((never.len(), refused), (1, &json!(false)));
    let never = Regex::new(pattern).unwrap();
    for name in &NEVER_SET {
        assert!(never.is_match(name.as_str()), "{name}");
    }
    assert_eq!(pattern.matches('|').count() + 1, NEVER_SET.len());
    assert!(never.is_match("Connection") && never.is_match("Sec-WebSocket-Key"));
    assert!(!never.is_match("X-Connection"));
}

#[test]
fn the_schema_refuses_the_fields_of_answers_that_are_fixed() {
    let schema = schema();
    let keys = &schema["definitions"]["route"]["properties"];
    let added = keys["add_headers"]["patternProperties"]
        .as_object()
        .unwrap();
    let (pattern, refused) = added.iter().next().unwrap();
    assert_eq!((added.len(), refused), (1, &json!(false)));
    let hidden = &schema["definitions"]["hidden_field"]["not"]["pattern"];
    assert_eq!(hidden.as_str(), Some(pattern.as_str()));
    let pattern = Regex::new(pattern).unwrap();
    for name in [
        "Connection",
        "Upgrade",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "HTTP2-Settings",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Content-Length",
        "Sec-WebSocket-Accept",
        "Date",
        "Upgrade-Insecure-Requests",
        "X-TE",
        "Set-Cookie",
    ] {
        for name in [name.to_owned(), name.to_ascii_lowercase()] {
            let fixed = is_fixed(&name.parse().unwrap());
            assert_eq!(pattern.is_match(&name), fixed, "{name}");
        }
    }
}
