//! How a peer is spread over the processor.

use std::fmt::{self, Display, Formatter};

/// Processes that run side by side, each with so many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrangement {
    /// Processes.
    pub processes: usize,
    /// Threads of each.
    pub threads: usize,
}

impl Arrangement {
    /// One process with all threads, and as many processes with one thread each.
    pub(super) fn all(threads: usize) -> Vec<Self> {
        let mut found = vec![Self { processes: 1, threads }];
        if threads > 1 {
            found.push(Self { processes: threads, threads: 1 });
        }
        found
    }

    /// The images that each process draws: whole micro-batches of `batch`, dealt out in turn. Some may get none.
    pub(super) fn deal(self, images: usize, batch: usize) -> Vec<Vec<usize>> {
        let mut hands = vec![vec![]; self.processes];
        for k in 0..images {
            hands[k / batch % self.processes].push(k);
        }
        hands
    }
}

impl Display for Arrangement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let es = if self.processes == 1 { "" } else { "es" };
        let s = if self.threads == 1 { "" } else { "s" };
        write!(f, "{} process{es} × {} thread{s}", self.processes, self.threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_batches_are_dealt_out_whole() {
        let two = Arrangement { processes: 2, threads: 1 };
        assert_eq!(two.deal(7, 2), [vec![0, 1, 4, 5], vec![2, 3, 6]]);
        assert_eq!(two.deal(2, 2), [vec![0, 1], vec![]]);
        assert_eq!(Arrangement { processes: 1, threads: 2 }.deal(3, 2), [vec![0, 1, 2]]);
        assert_eq!(two.to_string(), "2 processes × 1 thread");
    }

    #[test]
    fn one_thread_can_be_arranged_one_way() {
        assert_eq!(Arrangement::all(1).len(), 1);
        let all = Arrangement::all(4);
        assert!(all.len() == 2 && all.iter().all(|a| a.processes * a.threads == 4));
    }
}
