//! Trying a bucket: rights, speed, clock, conditions. Everything is written below `probe` and taken away again.

use std::time::{Duration, Instant, SystemTime};

use larder_core::Result;
use object_store::path::Path;

use super::{Bucket, random_id};
use crate::tier::{Examination, Rate, TRIED_BYTES, TRIES, noise};

pub(super) async fn examine(bucket: &Bucket, namespace: &str) -> Examination {
    let id = format!("{:016x}", random_id());
    let path = bucket.names("probe").probe(&id);
    let mut found = Examination::default();
    let look_up = look_up(bucket, &path).await;
    let reachable = look_up.is_ok();
    found.look_up = Some(look_up);
    if !reachable {
        return found;
    }
    found.list = Some(bucket.objects.list(&bucket.names(namespace).marked()).await.map(drop));
    let before = SystemTime::now();
    let write = rate(bucket.objects.put(&path, noise(TRIED_BYTES, random_id()))).await.map(|(rate, ())| rate);
    let after = SystemTime::now();
    let written = write.is_ok();
    found.write = Some(write);
    if !written {
        return found;
    }
    found.clock_ahead = bucket.objects.written(&path).await.ok().flatten().map(|at| ahead(at, before, after));
    let range = bucket.objects.range(&path, 0..TRIED_BYTES as u64);
    found.read = Some(rate(range).await.map(|(rate, _)| rate));
    found.creates = Some(bucket.honours_create().await);
    found.delete = Some(bucket.objects.delete(&path).await);
    found
}

async fn look_up(bucket: &Bucket, absent: &Path) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    for _ in 0..TRIES {
        let begun = Instant::now();
        bucket.objects.written(absent).await?;
        took.push(begun.elapsed());
    }
    Ok(took)
}

async fn rate<T>(work: impl Future<Output = Result<T>>) -> Result<(Rate, T)> {
    let begun = Instant::now();
    let done = work.await?;
    Ok((Rate { bytes: TRIED_BYTES as u64, took: begun.elapsed() }, done))
}

/// Milliseconds that a time lies ahead of the span in which it was taken. Stores may tell whole seconds, cut off: what is
/// within one is no difference.
fn ahead(at: SystemTime, before: SystemTime, after: SystemTime) -> i64 {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    if let Ok(late) = at.duration_since(after) {
        millis(late)
    } else {
        let early = millis(before.duration_since(at).unwrap_or_default());
        if early <= 1000 { 0 } else { -early }
    }
}
