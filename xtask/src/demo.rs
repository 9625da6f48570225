//! `cargo xtask demo`: the main job, on real data.

use crate::{
    command::{cargo, succeed},
    setup,
};
use std::path::{Path, PathBuf};

/// Where the database's script lies beside a checkout.
const CHINOOK: &str = "../shared/data/chinook_sqlite.sql";

/// Builds the guest and the `perihelion` binary, and runs its demo.
pub(crate) fn run(root: &Path, chinook: Option<PathBuf>, release: bool) -> Result<(), String> {
    let chinook = find(chinook.unwrap_or_else(|| root.join(CHINOOK)))?;
    setup::demo()?;
    let guest = build_guest(root)?;
    let mut server = cargo(root, &["run", "--package", "perihelion-server"]);
    if release {
        server.arg("--release");
    }
    server.args(["--", "demo", "--chinook"]).arg(chinook);
    succeed(server.arg("--shop").arg(guest))
}

fn find(chinook: PathBuf) -> Result<PathBuf, String> {
    chinook.canonicalize().map_err(|error| {
        format!(
            "the Chinook database is not at \"{}\": {error}\n\
             say where it is: cargo xtask demo --chinook <chinook_sqlite.sql>",
            chinook.display()
        )
    })
}

fn build_guest(root: &Path) -> Result<PathBuf, String> {
    let target_directory = root.join("target/guests");
    let mut build = cargo(&root.join("guests/rust"), &["build", "--release"]);
    build
        .args(["--package", "shop-guest"])
        .args(["--target", setup::COMPONENT_TARGET, "--target-dir"])
        .arg(&target_directory);
    succeed(&mut build)?;
    Ok(target_directory
        .join(setup::COMPONENT_TARGET)
        .join("release/shop_guest.wasm"))
}
