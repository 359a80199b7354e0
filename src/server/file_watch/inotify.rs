//! Linux' inotify: what was done to names in directories, and to files.
//!
//! Names are watched, not files: an editor puts a new file in the place of the old one, and in a ConfigMap of Kubernetes one
//! symlink among the directories of a path changes. So each directory on the way to a file is watched for the next name on
//! it, through every symlink, and the file itself for being written to in place.
//!
//! The crate `notify` is not used, although all tests of reloads pass with it: it watches the directories that it is told
//! to, and the way to a file through every symlink would still be found by code of our own, 209 lines where there are 207
//! now (version 8.2.2). It asks the kernel for every open and every write of every file in those directories: when one
//! neighbour of `routes.yaml` was opened and another written to, 1,100 times a second, its thread woke up 3,900 times
//! a second, and this code did not. It would bring six crates, and macOS, where nothing of wsgate is tested and SIGHUP
//! reloads.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::inotify;
use rustix::fs::inotify::CreateFlags;
use rustix::fs::inotify::ReadFlags;
use rustix::fs::inotify::Reader;
use rustix::fs::inotify::WatchFlags;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;
use tokio::time::timeout_at;

use crate::server::file_watch::WatchError;

/// How long nothing must happen before it is looked at: an editor writes a file, and a tool a certificate and then its key.
const QUIET: Duration = Duration::from_millis(100);

/// When it is looked at although it goes on happening.
const LONGEST: Duration = Duration::from_millis(500);

/// More symlinks on one way than any system follows (Linux: 40).
const LINKS: usize = 40;

/// What may happen to a name in a directory.
const NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR);

/// What may happen to a file that keeps its name. Added to what is there, since a file may turn out to be a directory.
const CONTENT: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MASK_ADD);

/// Files that are watched.
#[derive(Debug)]
pub(in crate::server) struct Watch {
    inotify: AsyncFd<OwnedFd>,
    watched: HashMap<i32, Wanted>,
    /// The first and the last event that were not looked at yet.
    events: Option<(Instant, Instant)>,
}

/// What is of interest about one directory or file.
#[derive(Debug, Default)]
struct Wanted {
    names: BTreeSet<OsString>,
    content: bool,
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The system gives no inotify instance.
    pub(in crate::server) fn new() -> Result<Self, WatchError> {
        let error = |errno| WatchError { path: None, errno };
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags).map_err(error)?;
        // What replaces it is `unsafe`, for types whose descriptor may become another one. That of an `OwnedFd` does not.
        #[allow(deprecated)]
        let inotify = AsyncFd::with_interest(inotify, Interest::READABLE);
        let inotify =
            inotify.map_err(|io| error(Errno::from_io_error(&io).unwrap_or(Errno::IO)))?;
        Ok(Self {
            inotify,
            watched: HashMap::new(),
            events: None,
        })
    }

    /// Watches these files and no others, on the ways that lead to them now. What happens from here on is noticed, so a
    /// file is read after this.
    ///
    /// # Errors
    /// The first thing that cannot be watched; all others are.
    pub(in crate::server) fn follow(
        &mut self,
        files: &BTreeSet<PathBuf>,
    ) -> Result<(), WatchError> {
        let mut following = Following {
            inotify: &self.inotify,
            directories: BTreeMap::new(),
            found: HashMap::new(),
            error: None,
        };
        for file in files {
            following.follow(file);
        }
        let Following { found, error, .. } = following;
        for old in self.watched.keys().filter(|old| !found.contains_key(old)) {
            // It may have ended with its file.
            let _ = inotify::remove_watch(&self.inotify, *old);
        }
        self.watched = found;
        error.map_or(Ok(()), Err)
    }

    /// Waits until something has happened to one of the files, and nothing more for a moment.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(in crate::server) async fn changed(&mut self) {
        loop {
            let Some((first, last)) = self.events else {
                self.event().await;
                let now = Instant::now();
                self.events = Some((now, now));
                continue;
            };
            let due = (last + QUIET).min(first + LONGEST);
            if timeout_at(due, self.event()).await.is_err() {
                self.events = None;
                return;
            }
            self.events = Some((first, Instant::now()));
        }
    }

    /// Waits for an event of interest.
    async fn event(&self) {
        loop {
            let Ok(mut ready) = self.inotify.readable().await else {
                // The runtime ends.
                return std::future::pending().await;
            };
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = Reader::new(&self.inotify, &mut buffer);
            let mut of_interest = false;
            let errno = loop {
                match reader.next() {
                    Ok(event) => {
                        of_interest |=
                            self.is_of_interest(event.wd(), event.events(), event.file_name());
                    }
                    Err(errno) => break errno,
                }
            };
            if errno != Errno::INTR {
                ready.clear_ready();
            }
            if of_interest {
                return;
            }
        }
    }

    fn is_of_interest(&self, wd: i32, what: ReadFlags, name: Option<&std::ffi::CStr>) -> bool {
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            return true;
        }
        self.watched
            .get(&wd)
            .is_some_and(|wanted| match name.map(|name| name.to_bytes()) {
                Some(name) if !name.is_empty() => wanted.names.contains(OsStr::from_bytes(name)),
                // About the thing itself. A directory that ends was a name in the one above it.
                _ => wanted.content,
            })
    }
}

/// The ways to files, in the making.
struct Following<'w> {
    inotify: &'w AsyncFd<OwnedFd>,
    directories: BTreeMap<PathBuf, Result<i32, Errno>>,
    found: HashMap<i32, Wanted>,
    error: Option<WatchError>,
}

impl Following<'_> {
    /// Goes to `file` from the root, and watches each step before it looks where that leads.
    fn follow(&mut self, file: &Path) {
        let Ok(file) = std::path::absolute(file) else {
            return;
        };
        let mut here = PathBuf::new();
        let mut rest: Vec<OsString> = steps(&file);
        let mut links = 0;
        while let Some(step) = rest.pop() {
            match Path::new(&step).components().next() {
                Some(Component::RootDir) => here = PathBuf::from("/"),
                Some(Component::ParentDir) => {
                    here.pop();
                }
                Some(Component::Normal(name)) => {
                    let watched = self.name(&here, name);
                    let directory = here.clone();
                    here.push(name);
                    let link = fs::read_link(&here);
                    // A directory may be passed through without being looked into. Nobody edits what leads on from there,
                    // unless it is the file itself or a symlink to it.
                    let denied = matches!(watched, Err(Errno::ACCESS));
                    if let Err(errno) = watched
                        && (!denied || link.is_ok() || rest.is_empty())
                    {
                        let path = Some(directory);
                        self.error.get_or_insert(WatchError { path, errno });
                    }
                    if let Ok(target) = link {
                        links += 1;
                        if links > LINKS {
                            return;
                        }
                        here.pop();
                        rest.extend(steps(&target));
                    }
                }
                _ => {}
            }
        }
        if let Ok(wd) = inotify::add_watch(self.inotify, &here, CONTENT) {
            self.found.entry(wd).or_default().content = true;
        }
    }

    fn name(&mut self, directory: &Path, name: &OsStr) -> Result<(), Errno> {
        let wd = match self.directories.get(directory) {
            Some(known) => *known,
            None => {
                let wd = inotify::add_watch(self.inotify, directory, NAMES);
                self.directories.insert(directory.to_owned(), wd);
                wd
            }
        };
        match wd {
            Ok(wd) => {
                let wanted = self.found.entry(wd).or_default();
                wanted.names.insert(name.to_owned());
                Ok(())
            }
            // There will be an event where it is missing.
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// The steps of a path, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let steps = path
        .components()
        .rev()
        .map(|step| step.as_os_str().to_owned());
    steps.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::path::PathBuf;
    use std::time::Duration;

    use tokio::time::timeout;

    use crate::server::file_watch::Watch;

    fn watching(file: &Path) -> (Watch, BTreeSet<PathBuf>) {
        let files = BTreeSet::from([file.to_owned()]);
        let mut watch = Watch::new().unwrap();
        watch.follow(&files).unwrap();
        (watch, files)
    }

    async fn is_noticed(watch: &mut Watch) {
        let noticed = timeout(Duration::from_secs(10), watch.changed());
        noticed.await.expect("a change is noticed");
    }

    async fn is_not_noticed(watch: &mut Watch) {
        let noticed = timeout(Duration::from_millis(300), watch.changed()).await;
        noticed.expect_err("nothing happened to the file");
    }

    #[tokio::test]
    async fn every_way_to_save_a_file_is_noticed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let file = path("routes.yaml");
        fs::write(&file, "a").unwrap();
        let (mut watch, files) = watching(&file);
        // Read, and another file.
        fs::read(&file).unwrap();
        fs::write(path("routes.yaml.swp"), "x").unwrap();
        is_not_noticed(&mut watch).await;
        // In place; without closing it; by another file in its place; after it was gone.
        fs::write(&file, "b").unwrap();
        is_noticed(&mut watch).await;
        let mut open = fs::OpenOptions::new().append(true).open(&file).unwrap();
        open.write_all(b"c").unwrap();
        is_noticed(&mut watch).await;
        fs::write(path("new"), "d").unwrap();
        fs::rename(path("new"), &file).unwrap();
        is_noticed(&mut watch).await;
        watch.follow(&files).unwrap();
        fs::write(&file, "e").unwrap();
        is_noticed(&mut watch).await;
        fs::remove_file(&file).unwrap();
        is_noticed(&mut watch).await;
        watch.follow(&files).unwrap();
        fs::write(&file, "f").unwrap();
        is_noticed(&mut watch).await;
    }

    #[tokio::test]
    async fn a_symlink_that_changes_anywhere_on_the_way_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for version in ["..1", "..2", "..3"] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("routes.yaml"), version).unwrap();
        }
        symlink("..1", path("..data")).unwrap();
        symlink("..data/routes.yaml", path("routes.yaml")).unwrap();
        // As the kubelet does it: a new symlink over the old one.
        let (mut watch, files) = watching(&path("routes.yaml"));
        for version in ["..2", "..3"] {
            symlink(version, path("..data_tmp")).unwrap();
            fs::rename(path("..data_tmp"), path("..data")).unwrap();
            is_noticed(&mut watch).await;
            watch.follow(&files).unwrap();
        }
        // What is no more on the way is no more of interest.
        fs::write(path("..1").join("routes.yaml"), "x").unwrap();
        is_not_noticed(&mut watch).await;
        fs::write(path("..3").join("routes.yaml"), "x").unwrap();
        is_noticed(&mut watch).await;
    }

    #[tokio::test]
    async fn a_directory_that_comes_later_is_noticed_and_so_is_the_file_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("certs/chat.pem");
        let (mut watch, files) = watching(&file);
        fs::create_dir(dir.path().join("certs")).unwrap();
        is_noticed(&mut watch).await;
        watch.follow(&files).unwrap();
        fs::write(&file, "x").unwrap();
        is_noticed(&mut watch).await;
        // The whole directory is replaced.
        watch.follow(&files).unwrap();
        fs::create_dir(dir.path().join("new")).unwrap();
        fs::write(dir.path().join("new/chat.pem"), "y").unwrap();
        fs::rename(dir.path().join("certs"), dir.path().join("old")).unwrap();
        fs::rename(dir.path().join("new"), dir.path().join("certs")).unwrap();
        is_noticed(&mut watch).await;
    }

    #[tokio::test]
    async fn symlinks_in_a_circle_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        let (mut watch, _) = watching(&dir.path().join("a"));
        fs::remove_file(dir.path().join("b")).unwrap();
        is_noticed(&mut watch).await;
    }
}
