//! A fresh machine: `tests/needs` lists every command that a test runs, names what is missing, and installs it where it
//! can.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use regex::Regex;
use tempfile::TempDir;

/// What the scripts themselves run, or a test through a shell or `ip netns exec`: the scan of the tests cannot see it.
const BESIDE_TESTS: &[&str] = &[
    "cc", "cmp", "iconv", "make", "mount", "node", "npm", "python3", "sed", "taskset", "true",
];

/// How a program is started whose name is not written down there: the binary under test, this one, or one that was
/// looked for.
const WITHOUT_A_NAME: &[&str] = &[
    "env!(\"CARGO_BIN_EXE_wsgate\")",
    "std::env::current_exe()",
    "binary",
];

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Every file below a folder whose name ends so, but not what npm, pip and cargo put there.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["node_modules", ".venv", "target"].contains(&name.as_str()) {
                files(&path, ending, found);
            }
        } else if name.ends_with(ending) && name != "bare_machine.rs" {
            found.push(path);
        }
    }
}

/// The commands that `tests/needs` looks for.
fn listed() -> BTreeSet<String> {
    let text = fs::read_to_string(tests().join("needs")).unwrap();
    let rows = text
        .split("<<'LIST'\n")
        .nth(1)
        .and_then(|rest| rest.split("\nLIST\n").next())
        .expect("the list");
    let rows: Vec<Vec<&str>> = rows
        .lines()
        .map(|row| row.split_whitespace().collect())
        .collect();
    assert!(rows.iter().all(|row| row.len() == 4), "{rows:?}");
    rows.iter()
        .filter(|row| row[1] == "command")
        .map(|row| row[2].to_owned())
        .collect()
}

/// The commands that the first ring runs, with the file that does.
fn run_by_rust() -> Vec<(String, PathBuf)> {
    let mut sources = Vec::new();
    files(&tests(), ".rs", &mut sources);
    assert!(sources.len() > 150, "{}", sources.len());
    let mut commands = Vec::new();
    for file in sources {
        let text = fs::read_to_string(&file).unwrap();
        for rest in text.split("Command::new(").skip(1) {
            match rest.strip_prefix('"') {
                Some(name) => {
                    commands.push((name.split('"').next().unwrap().to_owned(), file.clone()))
                }
                None => assert!(
                    WITHOUT_A_NAME.iter().any(|known| rest.starts_with(known)),
                    "{}: which command is Command::new({}",
                    file.display(),
                    rest.lines().next().unwrap_or_default()
                ),
            }
        }
    }
    commands
}

/// The commands that the second ring runs, with the file that does.
fn run_by_peers() -> Vec<(String, PathBuf)> {
    let mut sources = Vec::new();
    files(&tests().join("peers"), ".mjs", &mut sources);
    assert!(sources.len() > 40, "{}", sources.len());
    // As the first argument of what starts a process, or as the first word of a command line that is passed there.
    let direct = Regex::new(r"\b(?:start|run|spawn|spawnSync|execFile)\(\s*'([^']+)'").unwrap();
    let line = Regex::new(r"= \[(?:\.\.\.\w+, )?'([a-z][\w-]*)', '-").unwrap();
    let mut imports = BTreeSet::new();
    let mut commands = Vec::new();
    for file in sources {
        let text = fs::read_to_string(&file).unwrap();
        let from = text.lines().filter(|line| line.contains("child_process'"));
        imports.extend(from.map(ToOwned::to_owned));
        for found in direct.captures_iter(&text).chain(line.captures_iter(&text)) {
            commands.push((found[1].to_owned(), file.clone()));
        }
    }
    // The names by which a file can start a process: another one would be a way that is not searched above.
    let known = ["execFile", "spawn", "spawnSync"]
        .map(|name| format!("import {{ {name} }} from 'node:child_process';"));
    assert_eq!(imports, BTreeSet::from(known));
    commands
}

#[test]
fn each_command_that_a_test_runs_is_listed_and_no_other() {
    let listed = listed();
    let mut run: BTreeSet<String> = BESIDE_TESTS.iter().map(ToString::to_string).collect();
    for (command, file) in run_by_rust().into_iter().chain(run_by_peers()) {
        assert!(
            listed.contains(&command),
            "{} runs `{command}`: give it a row in tests/needs, with the Debian package that brings it",
            file.display()
        );
        run.insert(command);
    }
    assert_eq!(listed, run, "a row of tests/needs that nobody needs");
}

/// A machine with nothing in its `PATH` but what a test puts there.
struct Machine(TempDir);

impl Machine {
    /// One where `id -u` says so.
    fn of_user(id: u32) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.put("id", &format!("echo {id}"));
        machine
    }

    fn put(&self, command: &str, script: &str) {
        let file = self.0.path().join(command);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What `tests/needs` says there when somebody needs that much: its exit code, and standard error.
    fn provide(&self, how_much: &str) -> (Option<i32>, String) {
        let script = "set -euo pipefail; PATH=$1; . tests/needs; provide \"$2\"";
        let output = Command::new("bash")
            .args(["-c", script, "tests/run"])
            .arg(self.0.path())
            .arg(how_much)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            // Neither the machine's certificates nor its browser must matter.
            .env("SSL_CERT_FILE", "/somewhere.pem")
            .env("CHROMIUM", "/somewhere")
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }
}

#[test]
fn everything_that_is_missing_is_named_at_once_with_its_package() {
    let machine = Machine::of_user(1000);
    machine.put("apt-get", "echo asked >&2");
    for command in [
        "cargo", "strace", "kill", "sh", "bash", "nproc", "taskset", "openssl", "iconv", "sed",
    ] {
        machine.put(command, "");
    }
    let (code, said) = machine.provide("first");
    assert_eq!(
        said,
        "tests/run: missing on this machine (packages by Debian's names):\n  \
         `cc`: package gcc\n  \
         <stdlib.h>: package libc6-dev\n  \
         `make`: package make\n  \
         `nginx`: package nginx-light\n"
    );
    assert_eq!(code, Some(1));

    // A compiler comes without headers, and is asked for them.
    for command in ["make", "nginx"] {
        machine.put(command, "");
    }
    machine.put("cc", "read -r line; [ \"$line\" = '#include <stdio.h>' ]");
    let (code, said) = machine.provide("first");
    assert_eq!(
        said,
        "tests/run: missing on this machine (packages by Debian's names):\n  <stdlib.h>: package libc6-dev\n"
    );
    assert_eq!(code, Some(1));
    machine.put("cc", "read -r line; [ \"$line\" = '#include <stdlib.h>' ]");
    assert_eq!(machine.provide("first"), (Some(0), String::new()));

    let (code, said) = machine.provide("all");
    let rows: Vec<&str> = said.lines().skip(1).collect();
    assert_eq!(rows.first(), Some(&"  `cmp`: package diffutils"));
    assert_eq!(
        rows.last(),
        Some(&"  Python's ensurepip: package python3-venv")
    );
    assert_eq!((code, rows.len()), (Some(1), 10));
}

#[test]
fn what_is_missing_is_installed_for_root_where_there_is_apt() {
    let machine = Machine::of_user(0);
    machine.put("cargo", "");
    let folder = machine.0.path().display().to_string();
    // A machine that has never asked what packages there are, and so knows none before.
    machine.put(
        "apt-get",
        &format!(
            "echo \"$@\" >>{folder}/asked\n\
             [ \"$1\" = update ] && {{ echo >{folder}/updated; exit; }}\n\
             [ -e {folder}/updated ] || {{ echo 'no such package' >&2; exit 100; }}\n\
             for command in cc make; do echo '#!/bin/sh' >{folder}/$command; /bin/chmod +x {folder}/$command; done"
        ),
    );
    assert_eq!(
        machine.provide("chat"),
        (Some(0), "installing gcc libc6-dev make\n".to_owned())
    );
    let install = "install -y --no-install-recommends gcc libc6-dev make\n";
    assert_eq!(
        fs::read_to_string(machine.0.path().join("asked")).unwrap(),
        format!("{install}update\n{install}")
    );
}

#[test]
fn what_cannot_be_installed_is_named() {
    let machine = Machine::of_user(0);
    for command in ["cc", "make"] {
        machine.put(command, "");
    }
    let missing = "tests/run: missing on this machine (packages by Debian's names):\n  \
                   `cargo`: a Rust toolchain, 1.95 or newer\n";
    // No package of Debian 12 brings one that is new enough.
    machine.put("apt-get", "echo asked >&2");
    assert_eq!(machine.provide("chat"), (Some(1), missing.to_owned()));

    fs::remove_file(machine.0.path().join("make")).unwrap();
    machine.put("apt-get", "echo 'no network' >&2; exit 100");
    let (code, said) = machine.provide("chat");
    assert_eq!(
        said,
        format!("installing make\nno network\n{missing}  `make`: package make\n")
    );
    assert_eq!(code, Some(1));
}

#[test]
fn the_commands_of_the_readme_are_there() {
    let readme = fs::read_to_string(tests().with_file_name("README.md")).unwrap();
    let part = readme.split("\n## Try it\n").nth(1).expect("the section");
    let part = part.split("\n## ").next().expect("its end");
    let commands: Vec<&str> = part
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("\n```").next().expect("the block's end"))
        .collect();
    assert_eq!(commands, ["tests/chat", "tests/run"]);
    for command in commands {
        let mode = fs::metadata(tests().with_file_name(command))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111, "{command} can be run");
    }
}
