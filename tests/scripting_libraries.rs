//! What scripts have beside commands, as a client sees it: JSON, MessagePack, packed structures, bits. The expectations are what
//! redis-server 7.0.15 answered, down to the positions in the errors.

use rustredis_testkit::every_engine;

use crate::lua::{check_all, eval};

/// Texts of JSON, both ways, and its settings. A text that changes a setting puts it back.
const CJSON: &[(&str, &str)] = &[
    ("return cjson.encode({1, 2, 3})", r#""[1,2,3]""#),
    ("return cjson.encode({})", r#""{}""#),
    ("return cjson.encode({a = 1})", r#""{\"a\":1}""#),
    ("return cjson.encode({[1] = 'a', [3] = 'c'})", r#""[\"a\",null,\"c\"]""#),
    (
        "return cjson.encode({[1] = 1, [100] = 1})",
        "-ERR user_script:1: Cannot serialise table: excessively sparse array @1",
    ),
    (
        r#"return cjson.encode('x"\\/\n\r\t\b\f\0\127\200')"#,
        r#""\"x\\\"\\\\\\/\\n\\r\\t\\b\\f\\u0000\\u007f\xc8\"""#,
    ),
    ("return cjson.encode(1)", r#""1""#),
    ("return cjson.encode(1.5)", r#""1.5""#),
    ("return cjson.encode(0.1)", r#""0.1""#),
    ("return cjson.encode(1e15)", r#""1e+15""#),
    ("return cjson.encode(12345678901234567890)", r#""1.2345678901235e+19""#),
    ("return cjson.encode(1/0)", "-ERR user_script:1: Cannot serialise number: must not be NaN or Inf @1"),
    ("return cjson.encode(0/0)", "-ERR user_script:1: Cannot serialise number: must not be NaN or Inf @1"),
    ("return cjson.encode({cjson.null, false, true})", r#""[null,false,true]""#),
    ("return cjson.encode(nil)", r#""null""#),
    (
        "return cjson.encode(function() end)",
        "-ERR user_script:1: Cannot serialise function: type not supported @1",
    ),
    (
        "return cjson.encode({[true] = 1})",
        "-ERR user_script:1: Cannot serialise boolean: table key must be a number or string @1",
    ),
    ("return cjson.encode({[1.5] = 1})", r#""{\"1.5\":1}""#),
    ("return cjson.encode()", "-ERR user_script:1: bad argument #1 to 'encode' (expected 1 argument) @1"),
    ("return cjson.encode(1, 2)", "-ERR user_script:1: bad argument #1 to 'encode' (expected 1 argument) @1"),
    (
        "local t = {} t[1] = t return cjson.encode(t)",
        "-ERR user_script:1: Cannot serialise, excessive nesting (1001) @1",
    ),
    ("local t = {} for i = 1, 999 do t = {t} end return #cjson.encode(t)", "2000"),
    (
        "local t = {} for i = 1, 1000 do t = {t} end return #cjson.encode(t)",
        "-ERR user_script:1: Cannot serialise, excessive nesting (1001) @1",
    ),
    ("return cjson.decode('[1,2,3]')", "[1, 2, 3]"),
    (r#"return cjson.decode('{"a":[1,2],"b":"x"}').a"#, "[1, 2]"),
    (r#"return cjson.decode('{"a":null}').a == cjson.null"#, "1"),
    ("return type(cjson.decode('null'))", r#""userdata""#),
    ("return cjson.decode('1.5') == 1.5", "1"),
    (r#"return cjson.decode('"x\\u0041\\u00e9\\ud83d\\ude00\\n"')"#, r#""xA\xc3\xa9\xf0\x9f\x98\x80\n""#),
    (
        r#"return cjson.decode('"\\ud83d"')"#,
        "-ERR user_script:1: Expected value but found invalid unicode escape code at character 2 @1",
    ),
    (
        r#"return cjson.decode('"\\u12"')"#,
        "-ERR user_script:1: Expected value but found invalid unicode escape code at character 2 @1",
    ),
    ("return cjson.decode('')", "-ERR user_script:1: Expected value but found T_END at character 1 @1"),
    ("return cjson.decode('[')", "-ERR user_script:1: Expected value but found T_END at character 2 @1"),
    (
        "return cjson.decode('[1,]')",
        "-ERR user_script:1: Expected value but found T_ARR_END at character 4 @1",
    ),
    (
        "return cjson.decode('[1')",
        "-ERR user_script:1: Expected comma or array end but found T_END at character 3 @1",
    ),
    (
        r#"return cjson.decode('{"a"}')"#,
        "-ERR user_script:1: Expected colon but found T_OBJ_END at character 5 @1",
    ),
    (
        "return cjson.decode('{a:1}')",
        "-ERR user_script:1: Expected object key string but found invalid token at character 2 @1",
    ),
    (
        "return cjson.decode('nul')",
        "-ERR user_script:1: Expected value but found invalid token at character 1 @1",
    ),
    (
        "return cjson.decode('1 2')",
        "-ERR user_script:1: Expected the end but found T_NUMBER at character 3 @1",
    ),
    (
        r#"return cjson.decode('"abc')"#,
        "-ERR user_script:1: Expected value but found unexpected end of string at character 5 @1",
    ),
    ("return cjson.decode('01')", "1"),
    (
        "return cjson.decode('-')",
        "-ERR user_script:1: Expected value but found invalid number at character 1 @1",
    ),
    ("return cjson.decode('1e5')", "100000"),
    ("return cjson.decode('0x10')", "16"),
    ("return cjson.decode('NaN') ~= cjson.decode('NaN')", "1"),
    ("return cjson.decode('Infinity') == 1/0", "1"),
    (
        r"return cjson.decode('\255\254')",
        "-ERR user_script:1: Expected value but found invalid token at character 1 @1",
    ),
    ("return cjson.decode()", "-ERR user_script:1: bad argument #1 to 'decode' (expected 1 argument) @1"),
    (
        "return cjson.decode({})",
        "-ERR user_script:1: bad argument #1 to 'decode' (string expected, got table) @1",
    ),
    ("return cjson.decode(12)", "12"),
    ("return #cjson.decode(string.rep('[', 1000) .. string.rep(']', 1000))", "1"),
    (
        "return cjson.decode(string.rep('[', 1001) .. string.rep(']', 1001))",
        "-ERR user_script:1: Found too many nested data structures (1001) at character 1001 @1",
    ),
    (
        "return cjson.decode(string.rep('[', 100000))",
        "-ERR user_script:1: Found too many nested data structures (1001) at character 1001 @1",
    ),
    ("return cjson.decode('[9007199254740993]')[1]", "9007199254740992"),
    (r#"return cjson.decode('{"1":"a"}')['1']"#, r#""a""#),
    (r#"return cjson.decode('{"a":1,"a":2}').a"#, "2"),
    (
        r#"return cjson.encode(cjson.decode('{"a":{"b":[1,{"c":[]}]}}'))"#,
        r#""{\"a\":{\"b\":[1,{\"c\":{}}]}}""#,
    ),
    (
        "return {cjson.encode_max_depth(), cjson.decode_max_depth(), cjson.encode_number_precision(), cjson.encode_keep_buffer()}",
        "[1000, 1000, 14, 1]",
    ),
    ("return {cjson.encode_sparse_array()}", "[nil, 2, 10]"),
    ("return {cjson.encode_invalid_numbers(), cjson.decode_invalid_numbers()}", "[nil, 1]"),
    ("return cjson._NAME", r#""cjson""#),
    (
        "cjson.encode_number_precision(3) local r = cjson.encode(1/3) cjson.encode_number_precision(14) return r",
        r#""0.333""#,
    ),
    (
        "cjson.encode_max_depth(1) local r = {pcall(cjson.encode, {{1}})} cjson.encode_max_depth(1000) return r",
        r#"[nil, "Cannot serialise, excessive nesting (2)"]"#,
    ),
    (
        "cjson.encode_sparse_array(true) local r = cjson.encode({[1000] = 1}) cjson.encode_sparse_array(false) return r",
        r#""{\"1000\":1}""#,
    ),
    (
        "cjson.encode_invalid_numbers(true) local r = cjson.encode({1/0}) cjson.encode_invalid_numbers(false) return r",
        r#""[inf]""#,
    ),
    (
        "cjson.encode_invalid_numbers('null') local r = cjson.encode({1/0}) cjson.encode_invalid_numbers(false) return r",
        r#""[null]""#,
    ),
    (
        "return cjson.encode_number_precision(0)",
        "-ERR user_script:1: bad argument #1 to 'encode_number_precision' (expected integer between 1 and 14) @1",
    ),
    (
        "return cjson.encode_number_precision(99)",
        "-ERR user_script:1: bad argument #1 to 'encode_number_precision' (expected integer between 1 and 14) @1",
    ),
    (
        "return cjson.encode_max_depth(0)",
        "-ERR user_script:1: bad argument #1 to 'encode_max_depth' (expected integer between 1 and 2147483647) @1",
    ),
    (
        "return cjson.encode_invalid_numbers('x')",
        "-ERR user_script:1: bad argument #1 to 'encode_invalid_numbers' (invalid option 'x') @1",
    ),
    ("return type(cjson.new().encode)", r#""function""#),
];

/// MessagePack, both ways.
const CMSGPACK: &[(&str, &str)] = &[
    ("return cmsgpack.pack(1)", r#""\x01""#),
    ("return cmsgpack.pack(-1)", r#""\xff""#),
    (
        "return cmsgpack.pack(128, -33, 65536, 2^32, 2^53)",
        r#""\xcc\x80\xd0\xdf\xce\x00\x01\x00\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xcf\x00 \x00\x00\x00\x00\x00\x00""#,
    ),
    ("return cmsgpack.pack(1.5)", r#""\xca?\xc0\x00\x00""#),
    ("return cmsgpack.pack('abc')", r#""\xa3abc""#),
    ("return cmsgpack.pack(true, false, nil)", r#""\xc3\xc2\xc0""#),
    ("return cmsgpack.pack({1, 2, 3})", r#""\x93\x01\x02\x03""#),
    ("return cmsgpack.pack({a = 1})", r#""\x81\xa1a\x01""#),
    ("return cmsgpack.pack({})", r#""\x90""#),
    ("return cmsgpack.pack({[1] = 1, [3] = 3})", r#""\x82\x01\x01\x03\x03""#),
    ("return cmsgpack.pack(string.rep('x', 32))", r#""\xd9 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx""#),
    ("return #cmsgpack.pack(string.rep('x', 70000))", "70005"),
    (
        "return cmsgpack.pack()",
        "-ERR user_script:1: bad argument #0 to 'pack' (MessagePack pack needs input.) @1",
    ),
    ("return cmsgpack.pack(function() end)", r#""\xc0""#),
    ("return {cmsgpack.unpack(cmsgpack.pack(1, 'a', {1, 2}, nil, true))}", r#"[1, "a", [1, 2]]"#),
    (r"return {cmsgpack.unpack('\147\001\002\003')}", "[[1, 2, 3]]"),
    ("return cmsgpack.unpack('')", "nil"),
    (r"return cmsgpack.unpack('\202\063\192\000\000') == 1.5", "1"),
    (r"return cmsgpack.unpack('\211\128\000\000\000\000\000\000\000') < -1e18", "1"),
    (
        "return cmsgpack.unpack({})",
        "-ERR user_script:1: bad argument #1 to 'unpack' (string expected, got table) @1",
    ),
    (
        "return cmsgpack.unpack()",
        "-ERR user_script:1: bad argument #1 to 'unpack' (string expected, got no value) @1",
    ),
    (r"return {cmsgpack.unpack_one('\001\002')}", "[1, 1]"),
    (r"return {cmsgpack.unpack_one('\001\002', 1)}", "[-1, 2]"),
    (r"return {cmsgpack.unpack_one('\001\002', 2)}", "[-1]"),
    (
        r"return {cmsgpack.unpack_one('\001\002', 3)}",
        "-ERR user_script:1: Start offset 3 greater than input length 2. @1",
    ),
    (
        r"return {cmsgpack.unpack_one('\001\002', -1)}",
        "-ERR user_script:1: Invalid request to unpack with offset of -1 and limit of 2. @1",
    ),
    (r"return {cmsgpack.unpack_limit('\001\002\003', 2)}", "[2, 1, 2]"),
    (r"return {cmsgpack.unpack_limit('\001\002\003', 2, 2)}", "[-1, 3]"),
    (
        r"return {cmsgpack.unpack_limit('\001\002\003', -1)}",
        "-ERR user_script:1: Invalid request to unpack with offset of 0 and limit of 3. @1",
    ),
    ("local t = {} for i = 1, 20 do t = {t} end return #cmsgpack.pack(t)", "17"),
    (
        "local t = {} t[1] = t return cmsgpack.pack(t)",
        r#""\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0""#,
    ),
    ("return cmsgpack._NAME", r#""cmsgpack""#),
];

/// Packed structures, both ways.
const STRUCT: &[(&str, &str)] = &[
    ("return struct.pack('>I4', 1)", r#""\x00\x00\x00\x01""#),
    ("return struct.pack('<I4', 1)", r#""\x01\x00\x00\x00""#),
    ("return struct.pack('>i2', -2)", r#""\xff\xfe""#),
    (
        "return struct.pack('>hHlL', 1, 2, 3, 4)",
        r#""\x00\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x04""#,
    ),
    ("return struct.pack('>bB', -1, 255)", r#""\xff\xff""#),
    ("return struct.pack('s', 'abc')", r#""abc\x00""#),
    ("return struct.pack('c5', 'abcdefg')", r#""abcde""#),
    ("return struct.pack('c0', 'abc')", r#""abc""#),
    ("return struct.pack('>I1c0', 3, 'abc')", r#""\x03abc""#),
    ("return struct.pack('>d', 1.5)", r#""?\xf8\x00\x00\x00\x00\x00\x00""#),
    ("return struct.pack('>f', 1.5)", r#""?\xc0\x00\x00""#),
    ("return struct.pack('!4 >I1 I4', 1, 2)", r#""\x01\x00\x00\x00\x00\x00\x00\x02""#),
    ("return struct.pack('>I1xI1', 1, 2)", r#""\x01\x00\x02""#),
    (
        "return struct.pack('>I16', 1)",
        r#""\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01""#,
    ),
    ("return struct.pack('>I', 1)", r#""\x00\x00\x00\x01""#),
    (
        "return struct.pack('z', 1)",
        "-ERR user_script:1: bad argument #1 to 'pack' (invalid format option 'z') @1",
    ),
    ("return struct.pack('c5', 'ab')", "-ERR user_script:1: bad argument #3 to 'pack' (string too short) @1"),
    (
        "return struct.pack()",
        "-ERR user_script:1: bad argument #1 to 'pack' (string expected, got no value) @1",
    ),
    (
        "return struct.pack('>I4')",
        "-ERR user_script:1: bad argument #2 to 'pack' (number expected, got nil) @1",
    ),
    (
        "return struct.pack('>I4', 'x')",
        "-ERR user_script:1: bad argument #2 to 'pack' (number expected, got string) @1",
    ),
    ("return struct.pack('>I4', 2^32)", r#""\x00\x00\x00\x00""#),
    ("return struct.pack('!3')", "-ERR user_script:1: alignment 3 is not a power of 2 @1"),
    (r"return {struct.unpack('>I4', '\000\000\000\001')}", "[1, 5]"),
    (r"return {struct.unpack('<I4', '\000\000\000\001')}", "[16777216, 5]"),
    (r"return {struct.unpack('>i1i1', '\255\254')}", "[-1, -2, 3]"),
    (r"return {struct.unpack('s', 'abc\000def')}", r#"["abc", 5]"#),
    ("return {struct.unpack('s', 'abc')}", "-ERR user_script:1: unfinished string in data @1"),
    ("return {struct.unpack('c3', 'abcdef')}", r#"["abc", 4]"#),
    ("return {struct.unpack('c0', 'abc')}", "-ERR user_script:1: format 'c0' needs a previous size @1"),
    (r"return {struct.unpack('>I1c0', '\003abc')}", r#"["abc", 5]"#),
    ("return {struct.unpack('>I1', 'ab', 2)}", "[98, 3]"),
    ("return {struct.unpack('>d', struct.pack('>d', 1.5))}", "[1, 9]"),
    (
        "return struct.unpack()",
        "-ERR user_script:1: bad argument #1 to 'unpack' (string expected, got no value) @1",
    ),
    (
        "return struct.unpack('>I4')",
        "-ERR user_script:1: bad argument #2 to 'unpack' (string expected, got no value) @1",
    ),
    ("return struct.size('>I4')", "4"),
    ("return struct.size('I4I1!8I8')", "16"),
    (
        "return struct.size('s')",
        "-ERR user_script:1: bad argument #1 to 'size' (option 's' has no fixed size) @1",
    ),
    (
        "return struct.size('c0')",
        "-ERR user_script:1: bad argument #1 to 'size' (option 'c0' has no fixed size) @1",
    ),
    ("return struct.size('c10')", "10"),
    (
        "return struct.size()",
        "-ERR user_script:1: bad argument #1 to 'size' (string expected, got no value) @1",
    ),
];

/// Numbers as 32 bits.
const BIT: &[(&str, &str)] = &[
    ("return {bit.tobit(0xffffffff), bit.tobit(2^32 + 1), bit.tobit(1.5)}", "[-1, 1, 2]"),
    (
        "return {bit.tohex(255), bit.tohex(255, 4), bit.tohex(255, -4), bit.tohex(-1), bit.tohex(255, 0)}",
        r#"["000000ff", "00ff", "00FF", "ffffffff", ""]"#,
    ),
    ("return {bit.bnot(0), bit.band(0xff, 0x0f, 0x3), bit.bor(1, 2, 4), bit.bxor(5, 3)}", "[-1, 3, 7, 6]"),
    (
        "return {bit.lshift(1, 31), bit.lshift(1, 33), bit.rshift(-1, 28), bit.arshift(-256, 4)}",
        "[-2147483648, 2, 15, -16]",
    ),
    (
        "return {bit.rol(0x12345678, 8), bit.ror(0x12345678, 8), bit.bswap(0x12345678)}",
        "[878082066, 2014458966, 2018915346]",
    ),
    ("return bit.band()", "-ERR user_script:1: bad argument #1 to 'band' (number expected, got no value) @1"),
    (
        "return bit.band('x')",
        "-ERR user_script:1: bad argument #1 to 'band' (number expected, got string) @1",
    ),
    ("return bit.band('0xff', 15)", "15"),
    ("return bit.bnot({})", "-ERR user_script:1: bad argument #1 to 'bnot' (number expected, got table) @1"),
];

every_engine! {
    fn json(server: &Server) {
        check_all(&mut server.client(), CJSON);
    }

    fn message_pack(server: &Server) {
        check_all(&mut server.client(), CMSGPACK);
    }

    fn structures(server: &Server) {
        check_all(&mut server.client(), STRUCT);
    }

    fn bits(server: &Server) {
        check_all(&mut server.client(), BIT);
    }

    /// What goes through an encoder and back is what it was, through arguments and replies of every byte as well.
    fn round_trips(server: &Server) {
        let mut client = server.client();
        let bytes: Vec<u8> = (0..=255).collect();
        for text in [
            "return cmsgpack.unpack(cmsgpack.pack(ARGV[1]))",
            "return cmsgpack.unpack(cmsgpack.pack({a = {ARGV[1]}})).a[1]",
            "return (struct.unpack('>I4c0', struct.pack('>I4c0', #ARGV[1], ARGV[1])))",
            "return (ARGV[1]:gsub('.', '%0'))",
            "return (ARGV[1]:gsub('(.)', function(c) return string.char(c:byte()) end))",
            "return redis.call('echo', ARGV[1])",
            "return ({ARGV[1]:byte(1, -1)})[256] == 255 and string.char(ARGV[1]:byte(1, -1))",
        ] {
            let reply = client.call(&[b"EVAL".as_slice(), text.as_bytes(), b"0", &bytes]);
            assert_eq!(reply, rustredis_testkit::Reply::bulk(&bytes), "{text}");
        }
        // JSON is for text: what is no ASCII passes as it is.
        let reply = client.call(&[
            "EVAL",
            "return cjson.decode(cjson.encode(ARGV))[1]",
            "0",
            "é \"\\/\n\u{1}\u{10ffff}",
        ]);
        assert_eq!(reply.text(), "é \"\\/\n\u{1}\u{10ffff}");
    }

    /// Settings of one script are not in force when the next runs on a fresh state, and break nothing where they stay.
    fn settings_break_nothing(server: &Server) {
        let mut client = server.client();
        for setting in [
            "cjson.encode_max_depth(2000)",
            "cjson.decode_max_depth(5)",
            "cjson.encode_keep_buffer(false)",
            "cjson.encode_number_precision(2)",
        ] {
            assert!(!eval(&mut client, setting).is_error(), "{setting}");
            assert_eq!(
                eval(&mut client, "return cjson.encode(cjson.decode('[1,{\"a\":[true,null]}]'))").text(),
                "[1,{\"a\":[true,null]}]"
            );
        }
        // Depths of a script's own choice end in an error, not in a stack that runs over.
        let deep = "cjson.decode_max_depth(10000000) local ok, e = pcall(cjson.decode, ('['):rep(5000000)) cjson.decode_max_depth(1000) return tostring(ok)";
        assert_eq!(eval(&mut client, deep).to_string(), "\"false\"");
        let deep = "local t = {} for i = 1, 300000 do t = {t} end cjson.encode_max_depth(10000000) \
            local ok, e = pcall(cjson.encode, t) cjson.encode_max_depth(1000) return tostring(ok)";
        assert!(!eval(&mut client, deep).is_error());
        eval(&mut client, "cjson.encode_number_precision(14)");
    }
}
