//! The sessions of a round and their order, the same for every subject.

use crate::Work;

/// The distribution of requests over sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keys {
    /// Every session is equally likely.
    Uniform,
    /// Like returning clients: the n-th session comes 1/n as often as the first.
    Zipf,
}

/// Draws numbers of sessions. Equal seeds draw equal numbers.
pub struct Numbers {
    sessions: u32,
    state: u64,
    /// The cumulated shares of all draws, by a session's rank.
    shares: Vec<f64>,
}

impl Numbers {
    /// Makes a source of numbers below `sessions`, which is twenty at least.
    pub fn new(sessions: u32, seed: u64) -> Self {
        let mut sum = 0.0;
        let mut shares: Vec<f64> = (1..=sessions)
            .map(|rank| {
                sum += 1.0 / f64::from(rank);
                sum
            })
            .collect();
        shares.iter_mut().for_each(|share| *share /= sum);
        Self { sessions, state: seed | 1, shares }
    }

    /// Draws a count of numbers for a work.
    pub fn draw(&mut self, work: Work, keys: Keys, count: usize) -> Vec<u32> {
        let (sessions, half) = (self.sessions, self.sessions / 2);
        match work {
            Work::LookupHit | Work::Update => (0..count).map(|_| self.one(keys)).collect(),
            Work::LookupMiss => (0..count).map(|_| sessions + self.below(sessions)).collect(),
            // Each once: a taken session is gone.
            Work::Take | Work::Delete => (0..count as u32).map(|number| sessions + number).collect(),
            Work::SelectOne => (0..count).map(|_| self.below(half)).collect(),
            Work::SelectTen => (0..count).map(|_| half + self.below(half / 10 * 10)).collect(),
            Work::Foldl => vec![0; count],
        }
    }

    fn one(&mut self, keys: Keys) -> u32 {
        match keys {
            Keys::Uniform => self.below(self.sessions),
            Keys::Zipf => {
                let share = self.below(1 << 31) as f64 / f64::from(1_u32 << 31);
                let rank = self.shares.partition_point(|own| *own <= share);
                // Scatters the ranks over the sessions; the step is coprime with every number of sessions here.
                (rank as u64 * 7_919 % u64::from(self.sessions)) as u32
            }
        }
    }

    /// xorshift64*, which is random enough to jump about in memory.
    fn below(&mut self, end: u32) -> u32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let high = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((high * u64::from(end)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_is_drawn_and_none_that_is_not_there() {
        let mut numbers = Numbers::new(100, 1);
        for keys in [Keys::Uniform, Keys::Zipf] {
            let mut drawn = numbers.draw(Work::LookupHit, keys, 100_000);
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn, (0..100).collect::<Vec<u32>>(), "{keys:?}");
        }
        assert!(numbers.draw(Work::LookupMiss, Keys::Uniform, 1_000).iter().all(|number| *number >= 100));
    }

    #[test]
    fn by_zipf_the_first_comes_as_often_as_its_share_says() {
        let drawn = Numbers::new(1_000, 1).draw(Work::LookupHit, Keys::Zipf, 100_000);
        let first = drawn.iter().filter(|number| **number == 0).count();
        // One in 7.485: the sum of 1/n up to a thousand.
        assert!((13_000..13_750).contains(&first), "{first}");
    }
}
