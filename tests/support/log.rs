//! What wsgate writes to standard error, line by line, as it comes.

use std::io::BufRead;
use std::io::BufReader;
use std::process::ChildStderr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::watch;

use crate::support::within;

/// The log of one process. JSON lines are numbered in their order, so that each can be waited for once.
#[derive(Debug)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    changed: watch::Receiver<usize>,
    closed: Arc<AtomicBool>,
    stalled: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Log {
    /// What is written there; nothing if the process writes elsewhere.
    pub(super) fn of(stderr: Option<ChildStderr>) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (count, changed) = watch::channel(0);
        let kept = Arc::clone(&lines);
        let closed = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&closed);
        let stalled = Arc::new(AtomicBool::new(false));
        let waits = Arc::clone(&stalled);
        let reader = stderr.map(|stderr| {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).split(b'\n') {
                    let line = String::from_utf8(line.unwrap()).unwrap();
                    kept.lock().unwrap().push(line);
                    count.send_modify(|count| *count += 1);
                    while waits.load(Ordering::SeqCst) {
                        std::thread::park();
                    }
                    if until.load(Ordering::SeqCst) {
                        return;
                    }
                }
            })
        });
        Self {
            lines,
            changed,
            closed,
            stalled,
            reader,
        }
    }

    /// Reads nothing more behind the next line.
    pub(super) fn stall(&self) {
        self.stalled.store(true, Ordering::SeqCst);
    }

    /// Reads on.
    pub(super) fn resume(&self) {
        self.stalled.store(false, Ordering::SeqCst);
        if let Some(reader) = &self.reader {
            reader.thread().unpark();
        }
    }

    /// Closes the pipe behind the next line.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// The JSON lines from number `from` up to the next with this message; `from` then counts all of these too.
    pub(crate) async fn next(&self, from: &mut usize, message: &str) -> Vec<Value> {
        let mut changed = self.changed.clone();
        let mut passed = Vec::new();
        within(&format!("the log line \"{message}\""), async {
            loop {
                changed.mark_unchanged();
                let lines = self.lines.lock().unwrap()[*from..].to_vec();
                for line in lines {
                    *from += 1;
                    let Ok(line) = serde_json::from_str::<Value>(&line) else {
                        continue;
                    };
                    let found = line["message"] == message;
                    passed.push(line);
                    if found {
                        return passed;
                    }
                }
                assert!(
                    changed.changed().await.is_ok(),
                    "the log ended without \"{message}\": {passed:#?}"
                );
            }
        })
        .await
    }

    /// Everything so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// All lines with this message so far.
    pub(crate) fn all(&self, message: &str) -> Vec<Value> {
        self.lines()
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["message"] == message)
            .collect()
    }

    /// The first line with this message that satisfies `wanted`, as soon as it is there.
    pub(crate) async fn find(&self, message: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut changed = self.changed.clone();
        within(&format!("the log line \"{message}\""), async {
            loop {
                changed.mark_unchanged();
                if let Some(line) = self.all(message).into_iter().find(&wanted) {
                    return line;
                }
                assert!(
                    changed.changed().await.is_ok(),
                    "the log ended without \"{message}\": {:#?}",
                    self.lines()
                );
            }
        })
        .await
    }

    /// The first line with this message.
    pub(crate) async fn first(&self, message: &str) -> Value {
        self.find(message, |_| true).await
    }

    /// The first line that contains `text`.
    pub(crate) async fn containing(&self, text: &str) -> String {
        self.containing_times(text, 1).await
    }

    /// The line that is the `count`th to contain `text`.
    pub(crate) async fn containing_times(&self, text: &str, count: usize) -> String {
        let mut changed = self.changed.clone();
        within(&format!("a log line with {text:?}"), async {
            loop {
                changed.mark_unchanged();
                let mut lines = self.lines().into_iter().filter(|line| line.contains(text));
                if let Some(line) = lines.nth(count - 1) {
                    return line;
                }
                assert!(
                    changed.changed().await.is_ok(),
                    "the log ended without {text:?}: {:#?}",
                    self.lines()
                );
            }
        })
        .await
    }

    /// Waits for the last line: the process has ended.
    pub(super) fn ended(&mut self) {
        self.resume();
        if let Some(reader) = self.reader.take() {
            // A line that is no UTF-8 is reported by whoever looks at the lines.
            let _ = reader.join();
        }
    }
}
