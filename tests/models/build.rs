//! Sets `--cfg loom` for this crate and for nothing that it depends on.

fn main() {
    println!("cargo::rustc-cfg=loom");
}
