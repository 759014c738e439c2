#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one module of rdma-core's own test-suite, as Debian's python3-pyverbs carries it, on one device.

usage: suite.py [--gid INDEX] DEVICE MODULE [TEST...]     TEST: Class.method; default: all of the module
       suite.py --modules                                 the suite's modules

Prints a line per test: "begin NAME", then "pass NAME", "fail NAME: WHY" or "skip NAME: WHY". A test that begins and does not end has
taken the interpreter with it. The suite's own runner imports all modules first, which takes minutes in an emulated guest.
"""
import glob
import gzip
import importlib
import os
import shutil
import sys
import tempfile
import unittest

SUITE = '/usr/share/doc/rdma-core/tests'


def modules():
    return sorted({os.path.basename(f).split('.')[0] for f in glob.glob(SUITE + '/test_*.py*')})


def unpack(directory):
    """The suite as a package "tests", without the __init__.py that imports everything."""
    tests = os.path.join(directory, 'tests')
    os.mkdir(tests)
    for path in glob.glob(SUITE + '/*.py*'):
        name = os.path.basename(path)
        if name.startswith('__init__'):
            continue
        with (gzip.open if name.endswith('.gz') else open)(path, 'rb') as src, \
                open(os.path.join(tests, name.removesuffix('.gz')), 'wb') as dst:
            shutil.copyfileobj(src, dst)
    open(os.path.join(tests, '__init__.py'), 'w').close()
    sys.path[:0] = [directory, tests]


class Result(unittest.TestResult):
    """Prints what becomes of each test, one line at a time, so that a crash loses nothing."""
    def say(self, word, test, why=''):
        name = '.'.join(test.id().split('.')[-2:])
        why = ' '.join(str(why).split())
        print(f'{word} {name}{": " + why if why else ""}', flush=True)

    def startTest(self, test):
        self.bad = False
        self.say('begin', test)

    def addSuccess(self, test):
        if not self.bad:
            self.say('pass', test)

    def addFailure(self, test, err):
        self.bad = True
        self.say('fail', test, err[1])

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err:
            self.addFailure(test, err)

    def addSkip(self, test, reason):
        self.bad = True
        self.say('skip', test, reason)

    def addExpectedFailure(self, test, err):
        self.say('pass', test)

    def addUnexpectedSuccess(self, test):
        self.addFailure(test, (None, 'unexpected success'))


def main(args):
    if args == ['--modules']:
        print(*modules(), sep='\n')
        return
    own = ['--gid', args[1]] if args[0] == '--gid' else []
    device, module, *names = args[len(own):]
    with tempfile.TemporaryDirectory() as directory:
        unpack(directory)
        sys.argv[1:] = ['--dev', device] + own
        importlib.import_module('args_parser').parser.parse_args()
        loader = unittest.defaultTestLoader
        module = importlib.import_module('tests.' + module)
        suite = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
        suite.run(Result())


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
