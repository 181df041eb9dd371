//! Approximate numbers that can be merged: distinct values (exact, then HyperLogLog) and quantiles (a t-digest).

use super::hash::{Set, mix};

/// So many distinct values are counted exactly: Elasticsearch's largest `precision_threshold`.
const EXACT_MAX: usize = 40_000;
/// 2^14 registers: a standard error of 0.8 %.
const REGISTER_BITS: u32 = 14;

/// Distinct values, by their hashes.
#[derive(Clone, Debug)]
pub enum Distinct {
    /// Each one.
    Exact(Set<u64>),
    /// HyperLogLog registers.
    Registers(Vec<u8>),
}

impl Default for Distinct {
    fn default() -> Self {
        Distinct::Exact(Set::default())
    }
}

impl Distinct {
    /// Adds a value by its hash.
    pub fn add(&mut self, hash: u64) {
        match self {
            Distinct::Exact(set) => {
                set.insert(hash);
                if set.len() > EXACT_MAX {
                    let mut registers = vec![0; 1 << REGISTER_BITS];
                    set.iter().for_each(|h| register(&mut registers, *h));
                    *self = Distinct::Registers(registers);
                }
            }
            Distinct::Registers(registers) => register(registers, hash),
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Distinct) {
        match other {
            Distinct::Exact(set) => set.into_iter().for_each(|h| self.add(h)),
            Distinct::Registers(theirs) => {
                let mut ours = match std::mem::take(self) {
                    Distinct::Registers(ours) => ours,
                    Distinct::Exact(set) => {
                        let mut ours = vec![0; 1 << REGISTER_BITS];
                        set.iter().for_each(|h| register(&mut ours, *h));
                        ours
                    }
                };
                ours.iter_mut().zip(theirs).for_each(|(a, b)| *a = (*a).max(b));
                *self = Distinct::Registers(ours);
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        match self {
            Distinct::Exact(set) => set.len() as u64,
            Distinct::Registers(registers) => {
                let m = registers.len() as f64;
                let sum: f64 = registers.iter().map(|r| 2f64.powi(-i32::from(*r))).sum();
                let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
                let empty = registers.iter().filter(|r| **r == 0).count();
                let estimate = if raw <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { raw };
                estimate.round() as u64
            }
        }
    }
}

fn register(registers: &mut [u8], hash: u64) {
    let hash = mix(hash);
    let at = (hash >> (64 - REGISTER_BITS)) as usize;
    let rank = ((hash << REGISTER_BITS).leading_zeros() + 1).min(64 - REGISTER_BITS + 1) as u8;
    registers[at] = registers[at].max(rank);
}

/// How finely quantiles are kept: the t-digest's compression.
const COMPRESSION: f64 = 200.0;
/// So many values are kept one by one before they are put together.
const BUFFER_MAX: usize = 2_000;

/// Quantiles: means with weights, sorted; exact up to [`BUFFER_MAX`] values.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    centroids: Vec<(f64, f64)>,
    sorted: bool,
    min: f64,
    max: f64,
    weight: f64,
}

impl Digest {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.push(value, 1.0, value, value);
    }

    fn push(&mut self, value: f64, weight: f64, min: f64, max: f64) {
        if self.weight == 0.0 {
            (self.min, self.max) = (min, max);
        }
        self.min = self.min.min(min);
        self.max = self.max.max(max);
        self.weight += weight;
        self.centroids.push((value, weight));
        self.sorted = false;
        if self.centroids.len() > BUFFER_MAX {
            self.compress();
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Digest) {
        for (value, weight) in &other.centroids {
            self.push(*value, *weight, other.min, other.max);
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.weight == 0.0
    }

    fn sort(&mut self) {
        if !self.sorted {
            self.centroids.sort_by(|a, b| a.0.total_cmp(&b.0));
            self.sorted = true;
        }
    }

    fn compress(&mut self) {
        self.sort();
        let mut out: Vec<(f64, f64)> = Vec::with_capacity(BUFFER_MAX / 2);
        let mut before = 0.0;
        for (mean, weight) in std::mem::take(&mut self.centroids) {
            if let Some(last) = out.last_mut() {
                let together = last.1 + weight;
                let q = (before + together / 2.0) / self.weight;
                // Small at the ends, where percentiles are asked for, large in the middle.
                let most = (4.0 * self.weight * q * (1.0 - q) / COMPRESSION).max(1.0);
                if together <= most {
                    last.0 += (mean - last.0) * weight / together;
                    last.1 = together;
                    continue;
                }
                before += last.1;
            }
            out.push((mean, weight));
        }
        self.centroids = out;
    }

    /// The value below which the share `q` (0 to 1) of all lies; `None` without values.
    pub fn quantile(&mut self, q: f64) -> Option<f64> {
        self.sort();
        let (first, last) = (self.centroids.first()?, self.centroids.last()?);
        let want = q * self.weight;
        let mut before = 0.0;
        let mut left: (f64, f64) = (first.1 / 2.0, first.0);
        if want <= left.0 {
            return Some(if first.1 <= 1.0 { first.0 } else { self.min + (first.0 - self.min) * want / left.0 });
        }
        for (mean, weight) in &self.centroids {
            let centre = before + weight / 2.0;
            if want <= centre {
                let span = centre - left.0;
                let share = if span > 0.0 { (want - left.0) / span } else { 1.0 };
                return Some(left.1 + (mean - left.1) * share);
            }
            left = (centre, *mean);
            before += weight;
        }
        if last.1 <= 1.0 {
            return Some(last.0);
        }
        let share = (want - left.0) / (self.weight - left.0);
        Some(last.0 + (self.max - last.0) * share.clamp(0.0, 1.0))
    }

    /// The smallest value that at least the share `q` of all does not exceed, in the steps of an HDR histogram with so
    /// many significant digits; `None` without values.
    pub fn hdr_quantile(&mut self, q: f64, digits: u32) -> Option<f64> {
        self.sort();
        // HdrHistogram rounds the rank to the nearest one.
        let want = (q * self.weight + 0.5).floor().max(1.0);
        let mut before = 0.0;
        let value = self.centroids.iter().find(|(_, weight)| {
            before += weight;
            before >= want
        });
        let value = value.or(self.centroids.last())?.0;
        if self.min <= 0.0 || value <= 0.0 {
            return Some(value);
        }
        // The smallest value begins at half the sub-buckets; from there on steps double with each power of two.
        let half = (2.0 * 10f64.powi(digits as i32)).log2().ceil().exp2() / 2.0;
        let scale = self.min.log2().floor().exp2() / half;
        let n = (value / scale).floor();
        let step = (n / half).log2().floor().max(0.0).exp2();
        Some(((n / step).floor() * step + step - 1.0) * scale)
    }

    /// The share (0 to 1) of values at or below `value`; `None` without values.
    pub fn rank(&mut self, value: f64) -> Option<f64> {
        self.sort();
        if self.is_empty() {
            return None;
        }
        if value < self.min {
            return Some(0.0);
        }
        if value >= self.max {
            return Some(1.0);
        }
        let (mut before, mut left) = (0.0, (0.0, self.min));
        for (mean, weight) in &self.centroids {
            let centre = before + weight / 2.0;
            if value < *mean {
                let span = mean - left.1;
                let share = if span > 0.0 { (value - left.1) / span } else { 0.0 };
                return Some((left.0 + (centre - left.0) * share) / self.weight);
            }
            left = (centre, *mean);
            before += weight;
        }
        let span = self.max - left.1;
        let share = if span > 0.0 { (value - left.1) / span } else { 1.0 };
        Some((left.0 + (self.weight - left.0) * share) / self.weight)
    }

    /// The median distance from the median.
    pub fn median_deviation(&mut self) -> Option<f64> {
        let median = self.quantile(0.5)?;
        let mut deviations = Digest::default();
        for (value, weight) in &self.centroids {
            let d = (value - median).abs();
            deviations.push(d, *weight, d, d);
        }
        deviations.quantile(0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_exact() {
        let mut d = Digest::default();
        [1.0, 51.0, 101.0, 151.0].iter().for_each(|v| d.add(*v));
        let q: Vec<f64> =
            [1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0].iter().map(|p| d.quantile(p / 100.0).unwrap()).collect();
        assert_eq!(q, [1.0, 1.0, 26.0, 76.0, 126.0, 151.0, 151.0]);
        assert_eq!(Digest::default().quantile(0.5), None);
        let hdr: Vec<f64> = [25.0, 50.0, 75.0, 99.0].iter().map(|p| d.hdr_quantile(p / 100.0, 3).unwrap()).collect();
        assert_eq!(hdr, [1.0, 51.0302734375, 101.0615234375, 151.1240234375]);
        let mut m = Digest::default();
        [100.0, 200.0, 300.0].iter().for_each(|v| m.add(*v));
        assert_eq!(m.median_deviation(), Some(100.0));
    }

    #[test]
    fn many_values_are_close() {
        let (mut one, mut two) = (Digest::default(), Digest::default());
        for i in 0..100_000u32 {
            if i % 2 == 0 { &mut one } else { &mut two }.add(f64::from(i.wrapping_mul(7919) % 100_000));
        }
        one.merge(&two);
        for (q, want) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.01, 1_000.0)] {
            let got = one.quantile(q).unwrap();
            assert!((got - want).abs() < 1_000.0, "{q}: {got}");
            assert!((one.rank(want).unwrap() - q).abs() < 0.01);
        }
        assert!(one.centroids.len() <= BUFFER_MAX + 1);
    }

    #[test]
    fn distinct_values() {
        let mut d = Distinct::default();
        (0..1000u64).chain(0..1000).for_each(|n| d.add(mix(n)));
        assert_eq!(d.count(), 1000);
        let mut other = Distinct::default();
        (500..200_000u64).for_each(|n| other.add(mix(n)));
        d.merge(other);
        let error = (d.count() as f64 - 200_000.0).abs() / 200_000.0;
        assert!(error < 0.03, "{}", d.count());
    }
}
