//! What a guest's query costs on PostgreSQL, beside the same query by the library that
//! the host uses, in turns in one run.

use super::{PASSWORD, SUPERUSER, World, world};
use crate::support::guest;
use perihelion::Value;
use std::time::Instant;
use tokio_postgres::{Client, NoTls, Statement};

const ROUNDS: usize = 300;
const QUERIES: i64 = 20;

/// The promise.
const RATIO_MAX: f64 = 1.2;

/// The least of many rounds is the machine when it does nothing else. Where others keep it
/// busy all the time, there is no such round: so it is run by itself.
#[test]
#[ignore = "a measurement, for a machine that does nothing else"]
fn a_point_select_costs_little_more_than_by_the_library_alone() {
    let mut world = prepared();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (client, statement) = runtime.block_on(connect(&world));
    let [mut floor, mut one, mut many] = [f64::MAX; 3];
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        runtime.block_on(sum(&client, &statement));
        floor = floor.min(begun.elapsed().as_secs_f64());
        // What a call costs besides its queries is in both.
        one = one.min(points(&mut world, 1));
        many = many.min(points(&mut world, QUERIES + 1));
    }
    let (ours, floor) = ((many - one) / QUERIES as f64, floor / QUERIES as f64);
    let ratio = ours / floor;
    println!(
        "a point select takes {:.1} us, by the library {:.1} us: {ratio:.2} times; a call with \
         one {:.0} us",
        ours * 1e6,
        floor * 1e6,
        one * 1e6
    );
    assert!(ratio <= RATIO_MAX);
}

fn prepared() -> World {
    let mut world = world();
    world.run(
        "CREATE TABLE item (id BIGINT PRIMARY KEY, name TEXT, amount BIGINT);
         INSERT INTO item SELECT n, 'item ' || n, n FROM generate_series(1, 1000) n",
    );
    let path = guest("bench_guest").display().to_string();
    world.run(&format!("CREATE FUNCTION points LANGUAGE wasm AS '{path}'"));
    world.run("ALTER FUNCTION points GRANT CAPABILITY DATABASE_READ('item')");
    points(&mut world, QUERIES);
    world
}

fn points(world: &mut World, count: i64) -> f64 {
    let begun = Instant::now();
    let sum = world.session.call("points", &[Value::Integer(count)]);
    assert_eq!(sum.unwrap(), Value::Integer(count * (count + 1) / 2));
    begun.elapsed().as_secs_f64()
}

async fn connect(world: &World) -> (Client, Statement) {
    let cluster = world.database.cluster;
    let path = cluster.socket().join(format!(".s.PGSQL.{}", cluster.port));
    let stream = tokio::net::UnixStream::connect(path).await.unwrap();
    let mut config = tokio_postgres::Config::new();
    config
        .user(SUPERUSER)
        .password(PASSWORD)
        .dbname(&world.database.name);
    let (client, connection) = config.connect_raw(stream, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN").await.unwrap();
    let sql = "SELECT amount FROM item WHERE id = $1";
    let statement = client.prepare(sql).await.unwrap();
    (client, statement)
}

async fn sum(client: &Client, statement: &Statement) {
    let mut sum = 0;
    for id in 1..=QUERIES {
        let rows = client.query(statement, &[&id]).await.unwrap();
        sum += rows[0].get::<_, i64>(0);
    }
    assert_eq!(sum, QUERIES * (QUERIES + 1) / 2);
}
