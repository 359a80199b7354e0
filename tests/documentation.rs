//! What the documents show must be true: every complete `routes.yaml` in them passes `wsgate check`, and what they
//! name is there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use regex::Regex;
use tempfile::TempDir;
use wsgate::engineio::Finding;

use crate::support::Authority;

fn read(document: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).expect("a document")
}

/// The fenced YAML blocks of a document that are whole files.
fn examples(document: &str) -> Vec<String> {
    read(document)
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .filter(|block| block.contains("listen:") && block.contains("routes:"))
        .collect()
}

/// Makes every certificate that an example names, for all of its hosts, and the authority's that has issued them.
fn make_certificates(example: &str, folder: &TempDir) {
    let authority = Authority::new();
    fs::create_dir_all(folder.path().join("certs")).expect("a folder");
    fs::write(folder.path().join("certs/ca.pem"), authority.pem()).expect("written");
    let mut hosts = vec!["chat.example.com"];
    let written = Regex::new(r"host: \[?([^\]\n}]*)").expect("a regex");
    for found in written.captures_iter(example) {
        let found = found.get(1).expect("a group").as_str().split(',');
        let found = found.map(|host| host.trim_matches([' ', '"', '\'']));
        // A certificate cannot have a star at its end.
        hosts.extend(found.map(|host| host.strip_suffix(".*").unwrap_or(host)));
    }
    for pair in example.split("cert: ").skip(1) {
        let cert = pair.split(',').next().expect("a path").trim();
        let key = pair
            .split("key: ")
            .nth(1)
            .expect("a key")
            .split([' ', '}'])
            .next()
            .expect("a path");
        let made = authority.issue(&hosts);
        fs::write(folder.path().join(cert), made.pem()).expect("written");
        write_private(&folder.path().join(key), &made.key_pem());
    }
}

fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .expect("a file");
    file.write_all(text.as_bytes()).expect("written");
}

#[test]
fn every_complete_example_passes_check() {
    let mut read = 0;
    let documents = [
        "README.md",
        "docs/configuration.md",
        "docs/from-nginx.md",
        "docs/restarting.md",
        "docs/several-servers.md",
    ];
    for document in documents {
        for example in examples(document) {
            read += 1;
            let folder = TempDir::new().expect("a folder");
            make_certificates(&example, &folder);
            fs::write(folder.path().join("routes.yaml"), &example).expect("written");
            let output = Command::new(env!("CARGO_BIN_EXE_wsgate"))
                .arg("check")
                .current_dir(folder.path())
                // What the machine trusts must not matter.
                .env("SSL_CERT_FILE", folder.path().join("certs/ca.pem"))
                .output()
                .expect("wsgate runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && said.is_empty(),
                "{document}:\n{example}\n{said}"
            );
        }
    }
    assert_eq!(read, 51, "examples were added or lost");
}

/// What stands in backquotes in the first column of the tables of docs/from-nginx.md: nginx's directives.
fn directives() -> BTreeSet<String> {
    read("docs/from-nginx.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|row| {
            let column = format!("`{}", row.split('|').next().expect("a column"));
            column
                .split('`')
                .skip(1)
                .step_by(2)
                .map(|code| code.split(' ').next().expect("a word").to_owned())
                .collect::<Vec<_>>()
        })
        // What is no directive: a path, an operator, the name of a header.
        .filter(|word| {
            word.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        })
        .collect()
}

#[test]
fn check_has_an_answer_to_every_directive_of_the_guide() {
    let directives = directives();
    assert_eq!(directives.len(), 112, "directives were added or lost");
    let folder = TempDir::new().expect("a folder");
    let mut file = "listen:\n  - address: 8080\nroutes:\n  -\n".to_owned();
    for directive in &directives {
        file += &format!("    {directive}: x\n");
    }
    fs::write(folder.path().join("routes.yaml"), file).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_wsgate"))
        .arg("check")
        .current_dir(folder.path())
        .output()
        .expect("wsgate runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for at_a_loss in ["did you mean", "the keys in"] {
        assert!(!said.contains(at_a_loss), "{said}");
    }
}

#[test]
fn every_link_to_a_key_leads_to_its_section() {
    let keys = read("docs/configuration.md");
    let guide = read("docs/from-nginx.md");
    let links: Vec<&str> = guide
        .split("configuration.md#")
        .skip(1)
        .map(|rest| rest.split(')').next().expect("an end"))
        .collect();
    assert_eq!(links.len(), 49, "links were added or lost");
    for key in links {
        assert!(keys.contains(&format!("\n## {key}\n")), "{key}");
    }
}

#[test]
fn every_key_of_the_schema_has_its_row_and_its_section() {
    let text = read("docs/configuration.md");
    let rows = text.lines().filter_map(|line| {
        let (key, _) = line.strip_prefix("| [`")?.split_once('`')?;
        Some(key.to_owned())
    });
    let rows: BTreeSet<String> = rows.collect();
    let schema = read("docs/routes.schema.json");
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    // The keys below them are described with the key that they stand below.
    let maps = [
        "",
        "/definitions/listener",
        "/definitions/route",
        "/definitions/group",
    ];
    let keys = maps.iter().flat_map(|map| {
        let keys = schema.pointer(&format!("{map}/properties"));
        keys.and_then(|keys| keys.as_object()).expect("keys").keys()
    });
    let keys: BTreeSet<String> = keys.cloned().collect();
    assert_eq!(rows, keys);
    for key in keys {
        assert!(
            text.contains(&format!("\n## {key}\n")),
            "`{key}` has no section"
        );
    }
    // Servers and cookies have many keys, which stand in a table of their section.
    for (section, map) in [("servers", "server"), ("sticky", "cookie")] {
        let section = text.split(&format!("\n## {section}\n")).nth(1);
        let section = section.and_then(|rest| rest.split("\n## ").next());
        let rows = section.expect("a section").lines();
        let rows = rows.filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0));
        let keys = schema.pointer(&format!("/definitions/{map}/properties"));
        let keys = keys.and_then(|keys| keys.as_object()).expect("keys").keys();
        let keys: BTreeSet<&str> = keys.map(String::as_str).collect();
        assert_eq!(rows.collect::<BTreeSet<&str>>(), keys);
    }
}

#[test]
fn the_schema_that_is_printed_is_the_committed_one_and_has_the_defaults_of_the_page() {
    let output = Command::new(env!("CARGO_BIN_EXE_wsgate"))
        .arg("schema")
        .output()
        .expect("wsgate runs");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let printed = String::from_utf8(output.stdout).expect("a text");
    assert!(printed == read("docs/routes.schema.json"), "the two differ");

    let schema: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    let mut defaults = 0;
    for keys in [
        "/properties",
        "/definitions/listener/properties",
        "/definitions/group/properties",
    ] {
        let keys = schema.pointer(keys).and_then(|keys| keys.as_object());
        for (key, described) in keys.expect("keys") {
            let Some(default) = described.get("default") else {
                continue;
            };
            let default = format!("`{}`", default.to_string().trim_matches('"'));
            let page = read("docs/configuration.md");
            let row = page
                .lines()
                .find(|line| line.starts_with(&format!("| [`{key}`]")))
                .expect("a row");
            assert!(row.ends_with(&format!(" | {default} |")), "{row}");
            defaults += 1;
        }
    }
    assert!(defaults >= 17, "only {defaults} defaults were found");
}

#[test]
fn the_shipped_file_begins_with_the_line_that_editors_read() {
    let shipped = read("routes.yaml");
    let line = shipped.lines().next().expect("a line");
    let path = line
        .strip_prefix("# yaml-language-server: $schema=")
        .expect("the line");
    assert_eq!(path, "docs/routes.schema.json");
    assert!(!read(path).is_empty());
}

#[test]
fn every_line_that_says_why_a_client_is_refused_is_explained_and_no_other() {
    let page = read("docs/why-refused.md");
    let mut sections: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let (kind, text) = section.split_once('\n').expect("a section");
        let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
        sections.insert(kind, lines.collect());
    }
    let said: Vec<(&str, [String; 2])> = Finding::examples()
        .iter()
        .map(|finding| {
            let lines = [
                format!("why   {finding}"),
                format!("help  {}", finding.help()),
            ];
            (finding.kind(), lines)
        })
        .collect();
    let mut expected: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (kind, lines) in &said {
        let section = expected.entry(kind).or_default();
        section.extend(lines.iter().map(String::as_str));
    }
    assert_eq!(sections, expected);
    // No kind is missing among the examples.
    let source = read("src/engineio/finding.rs");
    let names = source.split("fn kind(").nth(1).expect("the function");
    let names = names.split("\n    }\n").next().expect("its end");
    let names: BTreeSet<&str> = names.split('"').skip(1).step_by(2).collect();
    assert_eq!(expected.into_keys().collect::<BTreeSet<_>>(), names);
}

/// The files and folders that a document names in backticks.
fn named(document: &str) -> Vec<String> {
    let text = read(document);
    let codes = text.split('`').skip(1).step_by(2);
    codes
        .filter(|code| code.starts_with("tests/") || code.starts_with("src/"))
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn what_holds_the_promises_of_security_is_there() {
    let named = named("docs/security.md");
    assert!(named.len() > 25, "{}", named.len());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in &named {
        let there = match path.strip_suffix("*.cases") {
            Some(folder) => root.join(folder).is_dir(),
            None => root.join(path).exists(),
        };
        assert!(there, "{path}");
    }
    let cases = crate::hostile::CASES.to_string();
    let cases = format!(
        "{},{} inputs",
        &cases[..cases.len() - 3],
        &cases[cases.len() - 3..]
    );
    assert!(read("docs/security.md").contains(&cases), "{cases}");
}

/// Every Rust file below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with(".venv") {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn unsafe_code_is_where_security_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 250, "{}", files.len());
    let allowing = files.iter().filter(|file| {
        let text = fs::read_to_string(file).expect("a file");
        text.lines()
            .any(|line| line.trim_start().starts_with('#') && line.contains("allow(unsafe_code)"))
    });
    let allowing: BTreeSet<_> = allowing
        .map(|file| {
            file.strip_prefix(root)
                .expect("below it")
                .display()
                .to_string()
        })
        .collect();
    let said = read("docs/security.md");
    assert_eq!(allowing.len(), 2, "{allowing:?}");
    for file in allowing {
        assert!(said.contains(&format!("`{file}`")), "{file}");
    }
}

/// Every file of `src`, as its path there without the ending, and its text.
fn source_texts() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let texts = files.iter().map(|path| {
        let inside = path.strip_prefix(&root).expect("below it");
        let text = fs::read_to_string(path).expect("a file");
        (inside.with_extension("").display().to_string(), text)
    });
    texts.collect()
}

/// The words of a text that may be paths of files or names of types: `proxy/direct`, `listener/closing.rs`, `tls::Roots`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "_/:.".contains(c)))
        .map(|word| word.trim_end_matches(['.', ':']))
}

#[test]
fn the_files_and_types_that_documents_name_are_in_the_code() {
    let sources = source_texts();
    let mut files = 0;
    let mut types = 0;
    let mut wrong = Vec::new();
    for document in [
        "docs/architecture.md",
        "docs/words.md",
        "docs/contributing.md",
    ] {
        let text = read(document);
        for word in words(&text) {
            let path = word.trim_start_matches("src/").trim_end_matches(".rs");
            let room = path.split('/').next().expect("a part");
            let inside = |file: &String| file.starts_with(&format!("{room}/"));
            if !path.contains('/') || !sources.keys().any(inside) {
                continue;
            }
            files += 1;
            let face = format!("{path}/mod");
            let folder = format!("{path}/");
            let is_there = sources.contains_key(path)
                || sources.contains_key(&face)
                || sources.keys().any(|file| file.starts_with(&folder));
            if !is_there {
                wrong.push(format!("{document}: no file `{word}`"));
            }
        }
        // Between backticks a capital begins a type, but for a field of a message.
        for code in text.split('`').skip(1).step_by(2) {
            let name = code.rsplit("::").next().expect("a part");
            let is_type = name.starts_with(|c: char| c.is_ascii_uppercase())
                && name.chars().all(|c| c.is_ascii_alphanumeric())
                && name.contains(|c: char| c.is_ascii_lowercase());
            if !is_type || ["Host", "Upgrade", "Connection"].contains(&name) {
                continue;
            }
            types += 1;
            let is_there = sources.values().any(|text| {
                ["struct", "enum", "trait", "type"].iter().any(|kind| {
                    text.match_indices(&format!("{kind} {name}"))
                        .any(|(at, found)| {
                            let next = text[at + found.len()..].chars().next();
                            next.is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_'))
                        })
                })
            });
            if !is_there {
                wrong.push(format!("{document}: no type `{name}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(files >= 60 && types >= 40, "{files} files, {types} types");
}
