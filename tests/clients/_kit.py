"""What the scripts share: one connection per test, RESP2 and RESP3, a count at the end.

A script marks its tests with @test and calls main(). Each test runs once for RESP2 and once for RESP3, on an empty
database, and gets a client whose answers are decoded to str.
"""

import sys
import time
import traceback

import redis

TESTS = []


def test(function):
    """Marks a test."""
    TESTS.append(function)
    return function


def connect(protocol, **options):
    """A client of the server under test."""
    options.setdefault("decode_responses", True)
    return redis.Redis(port=int(sys.argv[1]), protocol=protocol, socket_timeout=20, **options)


def raises(kind, text, call, *arguments, **options):
    """Asserts that a call fails with an error whose text contains this one."""
    try:
        result = call(*arguments, **options)
    except kind as error:
        assert text in str(error), f"{error!r} instead of {text!r}"
    else:
        raise AssertionError(f"{result!r} instead of the error {text!r}")


def wait_until(what, condition, seconds=20):
    """Waits for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.002)


def main():
    """Runs the tests and prints the counts."""
    passed = failed = 0
    for protocol in (2, 3):
        for function in TESTS:
            client = connect(protocol)
            try:
                client.flushall()
                function(client)
                passed += 1
            except Exception:
                failed += 1
                print(f"{function.__name__} (RESP{protocol}):")
                traceback.print_exc(file=sys.stdout)
            finally:
                client.close()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
