//! Writes inputs made of `tests/hostile/*.cases` to a directory: `seeds DIRECTORY`.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let to: PathBuf = std::env::args_os().nth(1).expect("a directory").into();
    let written = wsgate_fuzz::seeds::write(&to)?;
    println!("{written} inputs");
    Ok(())
}
