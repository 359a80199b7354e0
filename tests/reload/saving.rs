//! The ways in which files are saved, and that each is noticed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;

use crate::reload::Edited;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;

#[tokio::test]
async fn an_editor_may_write_in_place_or_put_a_new_file_there() {
    let upstreams = three().await;
    let mut edited = Edited::start(to(&upstreams[0])).await;
    let [file, new, old] = ["routes.yaml", "routes.yaml.new", "routes.yaml~"];
    let [file, new, old] = [file, new, old].map(|name| edited.gate.path(name));
    // vim with a backup: the old file gets another name, the new one is written under this one.
    fs::rename(&file, &old).unwrap();
    fs::write(&file, to(&upstreams[1]).yaml()).unwrap();
    edited.answers(1).await;
    // Most others: a new file is written beside it and renamed.
    fs::write(&new, to(&upstreams[2]).yaml()).unwrap();
    fs::rename(&new, &file).unwrap();
    edited.answers(2).await;
    // In place, and then again.
    for number in [0, 1] {
        edited.gate.save(&to(&upstreams[number]));
        edited.answers(number).await;
    }
    // It was not there for a while.
    fs::remove_file(&file).unwrap();
    let missing = ("routes.yaml".to_owned(), "there is no such file".to_owned());
    assert_eq!(edited.refused().await, [missing]);
    edited.gate.save(&to(&upstreams[2]));
    edited.answers(2).await;
}

#[tokio::test]
async fn a_file_that_was_only_touched_is_nothing_new() {
    let upstreams = three().await;
    let mut edited = Edited::start(to(&upstreams[0])).await;
    edited
        .gate
        .log()
        .next(&mut edited.read, "upstream answers")
        .await;
    let file = edited.gate.path("routes.yaml");
    let yaml = fs::read_to_string(&file).unwrap();
    fs::write(&file, &yaml).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(edited.gate.path("new"), &yaml).unwrap();
    fs::rename(edited.gate.path("new"), &file).unwrap();
    fs::write(edited.gate.path("unrelated"), &yaml).unwrap();
    edited.is_silent().await;
    // A comment is new, and nothing is different.
    let commented = Setup::default().whole(format!("# hello\n{yaml}"));
    assert_eq!(edited.save(&commented).await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_file_that_is_half_written_is_read_again_when_it_is_whole() {
    let upstreams = three().await;
    let mut edited = Edited::start(to(&upstreams[0])).await;
    let yaml = to(&upstreams[1]).yaml();
    let file = edited.gate.path("routes.yaml");
    fs::write(&file, &yaml[..yaml.len() / 2]).unwrap();
    assert_eq!(edited.refused().await.len(), 1);
    assert_eq!(edited.gate.connect().await.get("/").await.text(), "0");
    fs::write(&file, yaml).unwrap();
    edited.answers(1).await;
}

/// What the kubelet makes of a ConfigMap: `routes.yaml` leads to `..data/routes.yaml`, `..data` to a directory, and an update
/// replaces `..data`.
#[tokio::test]
async fn a_configmap_that_changes_is_noticed() {
    let upstreams = three().await;
    let mut edited = Edited::start(to(&upstreams[0])).await;
    let gate = &edited.gate;
    for (number, upstream) in upstreams.iter().enumerate() {
        let version = gate.path(&format!("..{number}"));
        fs::create_dir(&version).unwrap();
        fs::write(version.join("routes.yaml"), to(upstream).yaml()).unwrap();
    }
    symlink("..1", gate.path("..data")).unwrap();
    symlink("..data/routes.yaml", gate.path("link")).unwrap();
    fs::rename(gate.path("link"), gate.path("routes.yaml")).unwrap();
    edited.answers(1).await;
    for number in [2, 0, 1] {
        let gate = &edited.gate;
        symlink(format!("..{number}"), gate.path("..data_tmp")).unwrap();
        fs::rename(gate.path("..data_tmp"), gate.path("..data")).unwrap();
        edited.answers(number).await;
    }
}

/// As in `wsgate --config <(make-routes)`.
#[tokio::test]
async fn what_came_through_a_pipe_is_served_and_cannot_be_read_again() {
    let upstreams = three().await;
    let mut edited = Edited::start(to(&upstreams[0]).through_a_pipe()).await;
    assert_eq!(edited.gate.connect().await.get("/").await.text(), "0");
    edited.gate.signal("HUP");
    let reason = "this is no file that could be read a second time".to_owned();
    assert_eq!(edited.refused().await, [("routes.yaml".to_owned(), reason)]);
    assert_eq!(edited.gate.log().all("configuration").len(), 1);
    assert_eq!(edited.gate.connect().await.get("/").await.text(), "0");
}

/// A directory that wsgate may pass through and not look into.
#[tokio::test]
async fn what_cannot_be_watched_is_said_once_with_a_remedy() {
    let upstreams = three().await;
    let mut setup = to(&upstreams[0]);
    if rustix::process::geteuid().is_root() {
        // `nobody`.
        setup = setup.user(65534);
    }
    let mut edited = Edited::start(setup).await;
    let gate = &edited.gate;
    let hidden = gate.path("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::write(hidden.join("routes.yaml"), to(&upstreams[1]).yaml()).unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o311)).unwrap();
    symlink("hidden/routes.yaml", gate.path("link")).unwrap();
    fs::rename(gate.path("link"), gate.path("routes.yaml")).unwrap();
    edited.answers(1).await;
    const SAID: &str = "changes of routes.yaml may not be noticed";
    let line = edited.gate.log().first(SAID).await;
    assert_eq!(
        (&line["reason"], &line["help"], &line["level"]),
        (
            &format!("{}: permission denied", hidden.display()).into(),
            &format!("`kill -HUP {}` reloads", edited.gate.id()).into(),
            &"WARN".into()
        )
    );
    // The file itself is watched all the same, and tells when it loses its name to another.
    fs::write(hidden.join("routes.yaml"), to(&upstreams[2]).yaml()).unwrap();
    edited.answers(2).await;
    fs::write(hidden.join("new"), to(&upstreams[0]).yaml()).unwrap();
    fs::rename(hidden.join("new"), hidden.join("routes.yaml")).unwrap();
    edited.answers(0).await;
    assert_eq!(edited.gate.log().all(SAID).len(), 1);
}

impl Edited {
    /// After the next reload requests go to this upstream of the three.
    async fn answers(&mut self, number: usize) {
        let (changes, summary) = self.reloaded().await;
        assert_eq!((changes.len(), &summary["by"]), (1, &"file".into()));
        let answer = self.gate.connect().await.get("/").await;
        assert_eq!(answer.text(), number.to_string());
    }
}

async fn three() -> [Upstream; 3] {
    [
        Upstream::saying("0").await,
        Upstream::saying("1").await,
        Upstream::saying("2").await,
    ]
}

fn to(upstream: &Upstream) -> Setup {
    TestServer::setup().route("/", upstream)
}
