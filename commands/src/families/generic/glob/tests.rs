use super::{Case, glob_matches};

#[test]
fn classes() {
    assert!(glob_matches(b"[a-c]", b"b", Case::Sensitive));
}
