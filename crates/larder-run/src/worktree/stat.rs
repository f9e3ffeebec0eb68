//! What `lstat` says, file-system time, and the rule that decides when a stat proves content.
//!
//! An entry whose content was read is *proven* only if its mtime and ctime are strictly older than the file-system time
//! taken (from a file just touched) before the reading began: then any later change leaves another mtime or ctime behind.
//! On other devices than the clock's file, whose time may be coarser, two seconds more are asked for.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FileType, Timespec, Timestamps};

/// A point of file-system time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FsTime {
    /// Seconds since the epoch.
    pub seconds: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nanos: u32,
}

/// What identifies a state of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Stat {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Last change of the content.
    pub mtime: FsTime,
    /// Last change of content or inode.
    pub ctime: FsTime,
}

impl Stat {
    /// Type of the inode.
    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Whether content read after `since` is proven by this stat. `clock_dev`: where `since` was taken.
    pub(super) fn proven_since(&self, since: FsTime, clock_dev: u64) -> bool {
        let margin = if self.dev == clock_dev { 0 } else { 2 };
        let since = FsTime { seconds: since.seconds - margin, nanos: since.nanos };
        self.mtime < since && self.ctime < since
    }
}

impl From<rustix::fs::Stat> for Stat {
    #[expect(clippy::unnecessary_cast, reason = "the fields' types differ by platform")]
    fn from(s: rustix::fs::Stat) -> Self {
        let time = |seconds: i64, nanos: u32| FsTime { seconds, nanos };
        Self {
            dev: s.st_dev as u64,
            ino: s.st_ino as u64,
            size: s.st_size as u64,
            mode: s.st_mode as u32,
            mtime: time(s.st_mtime as i64, s.st_mtime_nsec as u32),
            ctime: time(s.st_ctime as i64, s.st_ctime_nsec as u32),
        }
    }
}

/// Tells file-system time by touching a file of its own. Without a writable folder it tells the beginning of time, so
/// that nothing is ever proven (slow, but right).
#[derive(Debug)]
pub(super) struct Clock {
    file: Option<OwnedFd>,
    dev: u64,
}

impl Clock {
    /// A clock whose file is `folder/clock`.
    pub(super) fn open(folder: &Path) -> Self {
        let open = || -> io::Result<(OwnedFd, u64)> {
            let mut options = File::options();
            options.write(true).create(true).truncate(false);
            std::os::unix::fs::OpenOptionsExt::custom_flags(
                &mut options,
                rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK).bits().cast_signed(),
            );
            let file = OwnedFd::from(options.open(folder.join("clock"))?);
            let dev = Stat::from(rustix::fs::fstat(&file)?).dev;
            Ok((file, dev))
        };
        match open() {
            Ok((file, dev)) => Self { file: Some(file), dev },
            Err(error) => {
                tracing::debug!(%error, "no file-system clock; every content is read");
                Self { file: None, dev: 0 }
            }
        }
    }

    /// Device of the clock's file.
    pub(super) fn dev(&self) -> u64 {
        self.dev
    }

    /// File-system time.
    pub(super) fn now(&self) -> FsTime {
        let Some(file) = &self.file else { return FsTime::default() };
        let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        let told = rustix::fs::futimens(file, &times).and_then(|()| rustix::fs::fstat(file));
        told.map_or_else(|_| FsTime::default(), |stat| Stat::from(stat).mtime)
    }

    /// Returns when file-system time is later than at the call; at once without a clock.
    pub(super) fn wait_tick(&self) {
        let begin = self.now();
        for _ in 0..3_000 {
            if self.file.is_none() || self.now() > begin {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
