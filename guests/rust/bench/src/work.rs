//! What takes its time: computations of several kinds, each over numbers that are the same
//! in every run.

use sha2::Digest;

/// Work in straight lines: SHA-256 of `n` bytes, its first eight as a number.
pub(crate) fn digest(n: i64) -> i64 {
    let bytes: Vec<u8> = noise()
        .take(usize::try_from(n).unwrap_or(0))
        .map(|number| number as u8)
        .collect();
    let hash = sha2::Sha256::digest(&bytes);
    i64::from_be_bytes(hash[..8].try_into().expect("a hash has 32 bytes"))
}

/// Work in floating point: the trace of a product of matrices of `n` rows, rounded.
pub(crate) fn product(n: i64) -> i64 {
    let n = usize::try_from(n).unwrap_or(0);
    let a: Vec<f64> = noise()
        .take(n * n)
        .map(|number| (number % 100) as f64)
        .collect();
    let mut c = vec![0.0; n * n];
    for (row, to) in a.chunks(n).zip(c.chunks_mut(n)) {
        for (factor, from) in row.iter().zip(a.chunks(n)) {
            for (to, from) in to.iter_mut().zip(from) {
                *to += factor * from;
            }
        }
    }
    (0..n).map(|i| c[i * n + i]).sum::<f64>() as i64
}

/// Work on texts: how often the most frequent of `n` words is there.
pub(crate) fn words(n: i64) -> i64 {
    let text: String = noise()
        .take(usize::try_from(n).unwrap_or(0))
        .map(|number| format!("word{} ", number % 997))
        .collect();
    let mut counts = std::collections::BTreeMap::<&str, i64>::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

fn noise() -> impl Iterator<Item = u64> {
    let mut state = 88_172_645_463_325_252u64;
    std::iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(state)
    })
}
