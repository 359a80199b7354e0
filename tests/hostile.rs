//! Inputs that attack: what a client may send and an upstream may answer to make two readers see different things.
//!
//! The cases are data, in `tests/hostile/*.cases`; how they are written says [`case`]. Each runs against the real binary, on both
//! ways that a request may go, and one wsgate serves all cases of a file. Its upstream writes down every byte it gets. Besides
//! its own outcome each case must keep what always holds: what the upstream got are whole, clear requests, all readers of
//! `reader` find the same ends in them, there is no tunnel to which the upstream did not agree, and no byte before.

mod case;
mod clear;
mod client;
mod differential;
mod generate;
mod judge;
mod reader;
mod text;
mod upstream;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;

use crate::hostile::case::Case;
use crate::hostile::upstream::Recorder;
use crate::support::TestServer;
use crate::support::Upstream;

/// How many cases the files have.
pub(crate) const CASES: usize = 1058;

/// Files under way at a time, each with a wsgate of its own.
const LANES: usize = 4;

#[tokio::test]
async fn hostile_inputs_are_refused_or_passed_on_in_one_clear_form() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let mut files: Vec<(String, Vec<Case>)> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "cases")
        })
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let content = fs::read_to_string(&path).unwrap();
            let cases = case::read(&name, &content);
            (name, cases)
        })
        .collect();
    files.sort_by(|one, other| one.0.cmp(&other.0));
    let count: usize = files.iter().map(|(_, cases)| cases.len()).sum();

    let files = Arc::new(files);
    let next = Arc::new(AtomicUsize::new(0));
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        let (files, next) = (Arc::clone(&files), Arc::clone(&next));
        lanes.spawn(async move {
            let mut ran = 0;
            let mut wrong = Vec::new();
            while let Some((_, cases)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                wrong.extend(run(cases).await);
                ran += cases.len();
            }
            (ran, wrong)
        });
    }
    let mut ran = 0;
    let mut wrong = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        let (also, found) = lane.unwrap();
        ran += also;
        wrong.extend(found);
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!((ran, count), (CASES, CASES));
}

/// Runs cases one after the other; what is wrong.
async fn run(cases: &[Case]) -> Vec<String> {
    let upstream = Recorder::start().await;
    let other = Upstream::saying("other").await;
    let mut gate = TestServer::setup()
        .route("/other", &other)
        .proxy_pass("/", format!("http://{}", upstream.address))
        .start()
        .await;
    let mut wrong = Vec::new();
    for case in cases {
        for way in &case.ways {
            if let Err(why) = judge::run(case, *way, &gate, &upstream).await {
                wrong.push(format!("{} {} ({way:?}):\n  {why}", case.place, case.name));
            }
        }
        assert!(gate.is_alive(), "{} ended it", case.place);
    }
    wrong
}
