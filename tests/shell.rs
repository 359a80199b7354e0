//! What wsgate tells shells and man(1) about itself, in a real bash.

use std::process::Command;
use std::process::Output;

fn wsgate(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wsgate"))
        .args(words)
        .output()
        .unwrap()
}

#[test]
fn bash_completes_the_commands_and_their_options() {
    let script = wsgate(&["completions", "bash"]);
    assert_eq!(script.status.code(), Some(0));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wsgate.bash");
    std::fs::write(&file, &script.stdout).unwrap();
    for (words, last, wanted) in [
        ("wsgate ex", 1, "explain"),
        ("wsgate im", 1, "import"),
        ("wsgate sc", 1, "schema"),
        ("wsgate import --str", 2, "--strict"),
        ("wsgate explain --js", 2, "--json"),
    ] {
        let asked = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={last}; \
             _wsgate wsgate \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"; echo \"${{COMPREPLY[*]}}\"",
            file.display(),
            last - 1
        );
        let answer = Command::new("bash").args(["-c", &asked]).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&answer.stdout).trim(),
            wanted,
            "{words}: {}",
            String::from_utf8_lossy(&answer.stderr)
        );
    }
}

#[test]
fn every_shell_has_its_script_and_others_are_named() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = wsgate(&["completions", shell]);
        assert_eq!(script.status.code(), Some(0), "{shell}");
        assert!(
            String::from_utf8_lossy(&script.stdout).contains("explain"),
            "{shell}"
        );
    }
    let refused = wsgate(&["completions", "cmd"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("bash, elvish, fish"));
}

#[test]
fn the_manual_page_names_every_command() {
    let page = wsgate(&["man"]);
    assert_eq!(page.status.code(), Some(0));
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.contains(".SH NAME\nwsgate"), "{page}");
    for command in [
        "run",
        "check",
        "import",
        "explain",
        "schema",
        "completions",
        "man",
    ] {
        assert!(
            page.contains(&format!("wsgate\\-{command}(1)")),
            "{command}: {page}"
        );
    }
}
