//! When the configuration is read again, and what comes of it.
//!
//! What counts is what the files hold: one that was only touched, or saved as it was, is nothing new. Files are read on the
//! main thread, which serves nobody.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use aws_lc_rs::digest;
use time::OffsetDateTime;

use crate::cli::check;
use crate::cli::report::Voice;
use crate::config::Config;
use crate::config::Diagnostic;
use crate::explain;
use crate::server::Supervisor;

/// No file that matters is larger.
const LARGEST: u64 = 16 << 20;

/// How often a file that names other files than a moment ago is read until that ends.
const READINGS: usize = 3;

/// The SHA-256 digest of what a file held; none if it could not be read.
pub(super) type FileDigest = Option<[u8; digest::SHA256_OUTPUT_LEN]>;

/// Why it is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trigger {
    /// What was read for the start may have changed before it was watched.
    Start,
    /// A file has changed.
    File,
    /// SIGHUP.
    Hangup,
}

impl Trigger {
    fn name(self) -> &'static str {
        match self {
            Self::Start | Self::File => "file",
            Self::Hangup => "SIGHUP",
        }
    }
}

/// What was read last, and what has happened to it since.
#[derive(Debug)]
pub(super) struct Reload {
    file: PathBuf,
    voice: Voice,
    /// It has been said that not everything can be watched.
    blind: bool,
    /// What the last reading depended on.
    files: BTreeSet<PathBuf>,
    /// What they held then, and the certificates that are shown.
    held: BTreeMap<PathBuf, FileDigest>,
    /// Which of them have changed since the last time that came to an end.
    changed: BTreeSet<PathBuf>,
    /// The last reading is not what is served.
    refused: bool,
}

impl Reload {
    /// For the file that is served, which held this before it was read.
    pub(super) fn new(supervisor: &mut Supervisor, held: FileDigest, voice: Voice) -> Self {
        let file = &supervisor.running().config().file;
        let mut reload = Self {
            file: file.to_owned(),
            voice,
            blind: false,
            files: BTreeSet::from([file.to_owned()]),
            held: BTreeMap::from([(file.to_owned(), held)]),
            changed: BTreeSet::new(),
            refused: false,
        };
        if let Err(error) = supervisor.watch() {
            reload.blind = true;
            voice.not_watching(&reload.file, &error);
        }
        reload
    }

    /// Looks at the files, and has served what is new in them.
    pub(super) async fn look(&mut self, trigger: Trigger, supervisor: &mut Supervisor) {
        let shown = supervisor.running().certificate_files();
        if let Some(pipe) = self.files.union(&shown).find(|path| is_read_once(path)) {
            if trigger == Trigger::Hangup {
                self.voice.only_once(pipe);
                self.voice.not_reloaded(trigger.name());
            }
            return;
        }
        self.look_at(self.files.union(&shown).cloned().collect(), supervisor);
        if trigger == Trigger::File && self.changed.is_empty() {
            return;
        }
        // A certificate that is shown stands for itself, whatever else is wrong, unless the file waits for it.
        let concerns_all = |path: &PathBuf| !shown.contains(path) || self.refused;
        let all = trigger != Trigger::File
            || self
                .changed
                .iter()
                .any(|path| self.files.contains(path) && concerns_all(path));
        let done = all && self.reload(trigger, supervisor).await;
        let changed = std::mem::take(&mut self.changed);
        if done {
            return;
        }
        let renewed = supervisor.renew(&changed, OffsetDateTime::now_utc()).await;
        self.voice.renewed(&renewed);
    }

    /// Whether the file is served now.
    async fn reload(&mut self, trigger: Trigger, supervisor: &mut Supervisor) -> bool {
        let now = OffsetDateTime::now_utc();
        let Some((config, warnings)) = self.read(now, supervisor) else {
            return self.refuse(trigger);
        };
        let changes = match supervisor.reload(config, now).await {
            Ok(changes) => changes,
            Err(error) => {
                self.voice.refused(&error);
                return self.refuse(trigger);
            }
        };
        let is_news = !self.changed.is_empty() || self.refused || !changes.is_empty();
        self.refused = false;
        if is_news {
            self.voice.warnings(&warnings);
            let config = supervisor.running().config();
            self.voice.reloaded(trigger.name(), &changes, config);
        } else if trigger == Trigger::Hangup {
            self.voice.nothing_changed(trigger.name());
        }
        true
    }

    fn refuse(&mut self, trigger: Trigger) -> bool {
        self.refused = true;
        self.voice.not_reloaded(trigger.name());
        false
    }

    /// Reads the file, and says what is wrong with it.
    fn read(
        &mut self,
        now: OffsetDateTime,
        supervisor: &mut Supervisor,
    ) -> Option<(Config, Vec<Diagnostic>)> {
        let environment = check::environment();
        let mut reading = Config::look_at(&self.file, &environment, now);
        for _ in 1..READINGS {
            let known = reading
                .files
                .is_subset(&self.held.keys().cloned().collect());
            self.files = reading.files;
            if known {
                break;
            }
            // What those held when they were read is not known, nor would a change since then have been noticed.
            let all = self.held.keys().cloned().chain(self.files.iter().cloned());
            self.look_at(all.collect(), supervisor);
            reading = Config::look_at(&self.file, &environment, now);
        }
        let promised = reading
            .outcome
            .and_then(|(config, warnings)| explain::promises(&config).map(|_| (config, warnings)));
        promised.map_err(|errors| self.voice.wrong(&errors)).ok()
    }

    /// Follows these files from now on, and notes which of them hold something else than the last time.
    fn look_at(&mut self, files: BTreeSet<PathBuf>, supervisor: &mut Supervisor) {
        if let Err(error) = supervisor.follow(&files)
            && !self.blind
        {
            self.blind = true;
            self.voice.not_watching(&self.file, &error);
        }
        let hold: BTreeMap<PathBuf, FileDigest> = files
            .into_iter()
            .map(|path| {
                let content = content(&path);
                (path, content)
            })
            .collect();
        let held = std::mem::replace(&mut self.held, hold);
        let changed = self
            .held
            .iter()
            .filter(|(path, content)| held.get(*path).is_some_and(|held| held != *content));
        self.changed.extend(changed.map(|(path, _)| path.clone()));
    }
}

/// Whether it is a pipe or the like: it gave all that it had, and would have us wait for more.
fn is_read_once(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|data| !data.is_file() && !data.is_dir())
}

/// What a file holds now.
pub(super) fn content(path: &Path) -> FileDigest {
    if !path.metadata().is_ok_and(|data| data.is_file()) {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
        .ok()?;
    digest::digest(&digest::SHA256, &bytes)
        .as_ref()
        .try_into()
        .ok()
}
