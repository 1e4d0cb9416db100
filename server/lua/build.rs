//! Compiles the Lua core.

use std::path::Path;

const SOURCES: &[&str] = &[
    "lapi", "lauxlib", "lbaselib", "lcode", "ldebug", "ldo", "ldump", "lfunc", "lgc", "llex", "lmathlib",
    "lmem", "lobject", "lopcodes", "lparser", "lstate", "lstring", "lstrlib", "ltable", "ltablib", "ltm",
    "lvm", "lzio",
];

fn main() {
    let core = Path::new("core");
    println!("cargo::rerun-if-changed=core");
    let mut build = cc::Build::new();
    // Its speed is the scripts' speed, in a debug build as well.
    build
        .opt_level(2)
        .warnings(false)
        .flag_if_supported("-fno-strict-aliasing")
        .flag_if_supported("-fstack-protector-strong");
    for source in SOURCES {
        build.file(core.join(source).with_extension("c"));
    }
    build.compile("tidegate_lua");
}
