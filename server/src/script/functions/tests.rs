use super::*;
use tidegate_data::rdb::Checksum;

fn load(libraries: &Libraries, code: &str) -> String {
    match libraries.load(code.as_bytes(), true, 500) {
        Ok(name) => String::from_utf8(name).unwrap(),
        Err(error) => String::from_utf8_lossy(&error.message()).into_owned(),
    }
}

/// From redis-server 7.0.15.
#[test]
fn what_is_wrong_with_a_library() {
    let libraries = Libraries::default();
    for (code, expected) in [
        ("", "ERR Missing library metadata"),
        ("\n#!lua name=x\n", "ERR Missing library metadata"),
        ("#!", "ERR Invalid library metadata"),
        ("#!lua", "ERR Invalid library metadata"),
        ("#!lua name='x\n", "ERR Invalid library metadata"),
        ("#!lua name=l\0z\n", "ERR Invalid library metadata"),
        ("#!lua\n", "ERR Library name was not given"),
        ("#!lua name=a b\n", "ERR Invalid metadata value given: b"),
        ("#!lua foo=a\n", "ERR Invalid metadata value given: foo=a"),
        ("#!lua name=a name=b\n", "ERR Invalid metadata value, name argument was given multiple times"),
        ("#!bad name=a\n", "ERR Engine 'bad' not found"),
        ("#! name=a\n", "ERR Engine '' not found"),
        ("#!lua name=a\nreturn", "ERR No functions registered"),
        ("#!lua name=a\nx", "ERR Error compiling function: user_function:2: '=' expected near '<eof>'"),
    ] {
        assert_eq!(load(&libraries, code), expected, "{code}");
    }
    for name in ["", "a-b", "a.b"] {
        assert_eq!(load(&libraries, &format!("#!lua name={name}\n")), metadata::NAMES);
    }
    assert_eq!(libraries.get().libraries().len(), 0);
}

/// From redis-server 7.0.15.
#[test]
fn what_is_wrong_with_the_code_of_a_library() {
    let libraries = Libraries::default();
    let no_global =
        |name| format!("user_function:2: Script attempted to access nonexistent global variable '{name}'");
    let named = |arguments: &str| format!("redis.register_function{{{arguments}}}");
    let function = "callback=function() end";
    for (code, expected) in [
        ("x=1".to_owned(), "user_function:2: Attempt to modify a readonly table".to_owned()),
        ("redis.x=1".into(), "user_function:2: Attempt to modify a readonly table".into()),
        ("redis.call('ping')".into(), no_global("call")),
        ("math.random()".into(), no_global("math")),
        ("getmetatable(_G).__index=1".into(), no_global("getmetatable")),
        ("local f = 1 + nil".into(), "user_function:2: attempt to perform arithmetic on a nil value".into()),
        ("while true do end".into(), "FUNCTION LOAD timeout".into()),
        ("redis.register_function()".into(), "wrong number of arguments to redis.register_function".into()),
        (
            "redis.register_function('f')".into(),
            "calling redis.register_function with a single argument is only applicable to Lua table (representing \
             named arguments)."
                .into(),
        ),
        (
            "redis.register_function('f',1)".into(),
            "second argument to redis.register_function must be a function".into(),
        ),
        (
            "redis.register_function({},function() end)".into(),
            "first argument to redis.register_function must be a string".into(),
        ),
        (
            "redis.register_function('f',function() end) redis.register_function('f',function() end)".into(),
            "Function already exists in the library".into(),
        ),
        (named(&format!("function_name='f', {function}, flags={{'bad'}}")), "unknown flag given".into()),
        (
            named(&format!("function_name='f', {function}, flags=1")),
            "flags argument to redis.register_function must be a table representing function flags".into(),
        ),
        (
            named("function_name='f', callback=1"),
            "callback argument given to redis.register_function must be a function".into(),
        ),
        (named("function_name='f'"), "redis.register_function must get a callback argument".into()),
        (named(function), "redis.register_function must get a function name argument".into()),
        (named("[{}]=1"), "named argument key given to redis.register_function is not a string".into()),
        (named("[1]=1"), "unknown argument given to redis.register_function".into()),
    ] {
        let code = format!("#!lua name=l\n{code}");
        assert_eq!(load(&libraries, &code), format!("ERR Error registering functions: ERR {expected}"), "{code}");
    }
    assert_eq!(libraries.get().functions_len(), 0);
}

#[test]
fn functions_belong_to_one_library_whatever_their_case() {
    let libraries = Libraries::default();
    let code = "#!Lua \"name=a\"\nlocal f = function() end redis.register_function('f', f) redis.register_function{\
                function_name='g', callback=f, description='d', flags={'allow-oom', 'NO-WRITES'}}";
    assert_eq!(load(&libraries, code), "a");
    let set = libraries.get();
    let (library, declared) = set.function(b"G").unwrap();
    assert_eq!((&library.name[..], &declared.name[..]), (&b"a"[..], &b"g"[..]));
    assert_eq!(declared.flags.names().collect::<Vec<_>>(), ["no-writes", "allow-oom"]);
    assert_eq!(declared.description.as_deref(), Some(&b"d"[..]));
    let other = "#!lua name=b\nredis.register_function('F', function() end)";
    assert_eq!(load(&libraries, other), "ERR Function F already exists");
    let refused = libraries.load(code.as_bytes(), false, 500).unwrap_err();
    assert_eq!(refused.message(), &b"ERR Library 'a' already exists"[..]);
    assert_eq!(
        load(&libraries, "#!lua name=a\nredis.register_function('h', function() end)"),
        "a",
        "replaced"
    );
    assert_eq!(load(&libraries, other), "b");
    assert_eq!(libraries.get().functions_len(), 2);
    assert!(set.function(b"f").is_some(), "who looks at a set keeps it");
}

#[test]
fn payloads_go_there_and_back() {
    let libraries = Libraries::default();
    let payload_of_redis = b"\xf5\x39#!lua name=t\nredis.register_function('f', function() end)";
    assert_eq!(load(&libraries, "#!lua name=t\nredis.register_function('f', function() end)"), "t");
    let payload = dump(&libraries.get(), true);
    assert!(payload.starts_with(payload_of_redis), "{}", payload.escape_ascii());
    let refused = |policy| libraries.restore(&payload, policy, true, 500).unwrap_err();
    assert_eq!(refused(Policy::Append).message(), &b"ERR Library t already exists"[..]);
    libraries.restore(&payload, Policy::Replace, true, 500).unwrap();
    libraries.restore(&payload, Policy::Flush, true, 500).unwrap();
    assert_eq!(libraries.get().functions_len(), 1);
    let of_candidate = b"\xf6\x01c\x03LUA\x00\x2eredis.register_function('g', function() end)  \x0a\x00";
    let sum = Checksum::of(of_candidate).to_le_bytes();
    libraries.restore(&[of_candidate, &sum[..]].concat(), Policy::Append, true, 500).unwrap();
    assert!(libraries.get().function(b"g").is_some(), "a library of a release candidate");
    for len in 0..payload.len() {
        libraries.restore(&payload[..len], Policy::Flush, true, 500).unwrap_err();
        let _ = libraries.restore(&payload[..len], Policy::Replace, false, 500);
    }
}
