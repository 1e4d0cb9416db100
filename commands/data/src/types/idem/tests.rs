use super::*;
use crate::types::native::Native;

fn begun(fingerprint: Option<&[u8]>) -> Idem {
    let mut idem = Idem::default();
    idem.apply(Effect::Begin { token: 7, end_ms: 100, fingerprint: fingerprint.map(Into::into) });
    idem
}

#[test]
fn it_is_run_and_done() {
    let mut idem = begun(Some(b"f"));
    assert!(idem.is_run_under(7, 99) && !idem.is_run_under(7, 100) && !idem.is_run_under(8, 99));
    assert_eq!((idem.next_timer(99), idem.next_timer(100)), (Some(100), None));
    idem.apply(Effect::Done { token: 7, response: (*b"r").into(), until_ms: 500 });
    assert!(!idem.is_run_under(7, 99));
    assert_eq!((idem.fingerprint(), idem.key_deadline_ms()), (Some(&b"f"[..]), Some(500 + LINGER_MS)));
    assert!(matches!(idem.progress(499), Some(Progress::Done { .. })) && idem.progress(500).is_none());
    idem.apply(Effect::Fail);
    assert!(idem.is_over());
}

#[test]
fn files_keep_it() {
    let mut done = begun(None);
    done.apply(Effect::Done { token: 7, response: (*b"response").into(), until_ms: 500 });
    for (idem, is_copied) in [(begun(None), false), (begun(Some(b"")), false), (done, true)] {
        let mut bytes = Vec::new();
        Idem::save(&idem, &mut bytes);
        assert_eq!(Idem::load(&bytes, 1).as_ref(), Ok(&idem));
        assert_eq!((Idem::token_max(&idem), Idem::is_copied(&idem)), (7, is_copied));
        for len in 0..17 {
            assert!(Idem::load(&bytes[..len], 1).is_err());
        }
        bytes[0] |= 4;
        assert!(Idem::load(&bytes, 1).is_err());
    }
    let mut bytes = Vec::new();
    Idem::save(&begun(None), &mut bytes);
    bytes.push(b'x');
    assert!(Idem::load(&bytes, 1).is_err(), "what is run has no answer");
}
