//! Criterion's measurements of the cases. `ratios` compares them with their bounds.

use criterion::{Criterion, criterion_group, criterion_main};
use perihelion_benches::cases;
use std::time::Duration;

fn calls(criterion: &mut Criterion) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    for mut case in cases(directory.path()) {
        let mut group = criterion.benchmark_group(case.name);
        group
            .sample_size(50)
            .measurement_time(Duration::from_secs(3));
        group.bench_function("perihelion", |bencher| {
            bencher.iter_custom(&mut case.perihelion);
        });
        group.bench_function("floor", |bencher| bencher.iter_custom(&mut case.floor));
        group.finish();
    }
}

criterion_group!(benches, calls);
criterion_main!(benches);
