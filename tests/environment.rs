//! Variables of the environment in `routes.yaml`: they are served, and nothing that is said of the file shows their values.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use tempfile::TempDir;

/// A value that nobody may see.
const SECRET: &str = "s3cret-$host-value";

fn run(dir: &TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wsgate"))
        .args(arguments)
        .current_dir(dir.path())
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn errors_and_explain_show_what_is_written() {
    let dir = TempDir::new().unwrap();
    let file = "listen:
  - address: 127.0.0.1:${PORT}
routes:
  - location: /
    proxy_pass: http://${APP}
    set_headers:
      X-Secret: Bearer ${SECRET}
    when: { header: { X-Edge: \"${SECRET}\" } }
  - location: /text
    return: 200 ${SECRET}
";
    fs::write(dir.path().join("routes.yaml"), file).unwrap();
    let right = [
        ("PORT", "8080"),
        ("APP", "127.0.0.9:3999"),
        ("SECRET", SECRET),
    ];
    let output = run(&dir, &["check"], &right);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(
        text(&output.stdout),
        "routes.yaml: ok: 1 listener, 2 routes\n"
    );
    for question in [
        &["explain", "http://a.test:8080/"][..],
        &["explain", "http://a.test:8080/text"],
        &["explain", "--json", "http://a.test:8080/"],
        &["explain", "--json", "http://a.test:8080/text"],
    ] {
        let output = run(&dir, question, &right);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{said}");
        for hidden in ["s3cret", "127.0.0.9", "3999"] {
            assert!(!said.contains(hidden), "{question:?}: {said}");
        }
        let shown = said.contains("${SECRET}") || said.contains("${APP}");
        assert!(shown, "{question:?}: {said}");
    }

    for (name, value, message) in [
        ("PORT", "80800", "no such port: `${PORT}`"),
        ("PORT", "", "`address` has no port after the colon"),
        ("APP", "10.1.2.3:geheim", "no such port: `${APP}`"),
        ("APP", "user:geheim@10.1.2.3", "`proxy_pass`"),
        (
            "SECRET",
            "geheim\u{7}",
            "this value has characters that no field may have",
        ),
    ] {
        let with = right.map(|(other, right)| match other == name {
            true => (other, value),
            false => (other, right),
        });
        let output = run(&dir, &["check"], &with);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {said}");
        assert!(said.contains(message), "{name}={value}: {said}");
        for hidden in ["80800", "geheim", "10.1.2.3"] {
            assert!(!said.contains(hidden), "{name}={value}: {said}");
        }
    }
}

#[test]
fn what_is_served_has_the_values_and_a_start_shows_what_is_written() {
    let dir = TempDir::new().unwrap();
    let file = "listen:
  - address: 127.0.0.1:${PORT:-0}
threads: ${THREADS}
routes:
  - location: /
    return: 200 ${SECRET} $scheme $${THREADS}
  - location: /up
    proxy_pass: http://${APP}
  - host: ${NAME}.example.org
    location: /s/${TOKEN}/
    return: 204
";
    fs::write(dir.path().join("routes.yaml"), file).unwrap();
    let mut gate = Command::new(env!("CARGO_BIN_EXE_wsgate"))
        .current_dir(dir.path())
        .env_clear()
        .envs([
            ("THREADS", "1"),
            ("SECRET", SECRET),
            ("APP", "127.0.0.1:3999"),
            ("NAME", "Inner-Name"),
            ("TOKEN", "Wort-7"),
            ("PORT", ""),
        ])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(gate.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let port = loop {
        let line = lines.next().expect("a line").unwrap();
        said += &format!("{line}\n");
        if let Some((_, port)) = line.split_once("http://127.0.0.1:")
            && line.contains("ws://")
        {
            break port.trim().parse::<u16>().unwrap();
        }
    };
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    client.write_all(request).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    // A dollar in a value begins no variable.
    assert!(
        answer.ends_with(&format!("\r\n\r\n{SECRET} http ${{THREADS}}")),
        "{answer}"
    );
    let pid = rustix::process::Pid::from_child(&gate);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    for line in lines {
        said += &format!("{}\n", line.unwrap());
    }
    assert!(gate.wait().unwrap().success());
    assert!(said.contains("http://${APP}"), "{said}");
    // What is probed is what the log has, as it has where requests go.
    let banner: Vec<&str> = said
        .lines()
        .take_while(|line| !line.contains("upstream="))
        .collect();
    assert!(!banner.join("\n").contains("3999"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    // A name of a host is shown in lower case.
    assert!(said.contains("${NAME}.example.org /s/${TOKEN}/"), "{said}");
    let lower = said.to_lowercase();
    assert!(
        !lower.contains("inner-name") && !lower.contains("wort-7"),
        "{said}"
    );
}
