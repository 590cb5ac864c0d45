//! Work on all processors: parts that do not depend on each other, taken in their order.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

/// Most threads.
const THREADS_MAX: usize = 64;
/// Parts that wait to be taken, for each thread.
const AHEAD: usize = 4;

/// How many threads there are processors for.
pub(super) fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

/// Makes the parts from 0 to `count` and takes them in order. What the first taker says no to ends the work.
pub(super) fn parallel<T: Send, E>(
    count: usize,
    make: impl Fn(usize) -> T + Sync,
    take: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    parallel_on(threads(), count, make, take)
}

/// The same on so many threads, where each needs much memory.
pub(super) fn parallel_on<T: Send, E>(
    threads: usize,
    count: usize,
    make: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let (sender, made) = mpsc::sync_channel(threads.saturating_mul(AHEAD));
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, make) = (sender.clone(), &next, &make);
            scope.spawn(move || {
                loop {
                    let part = next.fetch_add(1, Ordering::Relaxed);
                    // Nobody takes any more: the rest is not wanted.
                    if part >= count || sender.send((part, make(part))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut wanted = 0_usize;
        for (part, value) in made {
            early.insert(part, value);
            while let Some(value) = early.remove(&wanted) {
                take(wanted, value)?;
                wanted = wanted.saturating_add(1);
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_taken_once_and_in_order() {
        let mut taken = Vec::new();
        let done: Result<(), ()> = parallel(
            1_000,
            |part| part * 2,
            |part, value| {
                taken.push((part, value));
                Ok(())
            },
        );
        assert_eq!(done, Ok(()));
        assert_eq!(taken, (0..1_000).map(|part| (part, part * 2)).collect::<Vec<_>>());
        let stopped = parallel(1_000, |part| part, |part, _| if part == 5 { Err(part) } else { Ok(()) });
        assert_eq!(stopped, Err(5));
    }
}
