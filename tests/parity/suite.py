#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one module of rdma-core's own test-suite, as Debian's python3-pyverbs carries it, on one device.

Prints the seed, then a line per test: "begin NAME", then "pass NAME", "fail NAME: WHY" or "skip NAME: WHY". A test that begins and does not
end has taken the interpreter with it. The suite draws by lot what it asks for; with one seed it draws the same for a test wherever that runs.
The suite's own runner imports all modules first, which takes minutes in an emulated guest.
"""
import argparse
import glob
import gzip
import importlib
import os
import random
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
    def __init__(self, seed):
        super().__init__()
        self.seed = seed

    def say(self, word, test, why=''):
        name = '.'.join(test.id().split('.')[-2:])
        why = ' '.join(str(why).split())
        print(f'{word} {name}{": " + why if why else ""}', flush=True)

    def startTest(self, test):
        self.bad = False
        random.seed(f'{self.seed} {test.id()}')
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--modules', action='store_true', help="print the suite's modules")
    parser.add_argument('--gid', default='0', help='index of the GID to use, 0 by default')
    parser.add_argument('--seed', default=2, type=int, help='a number, 2 by default: siw has all that it draws')
    parser.add_argument('device', nargs='?')
    parser.add_argument('module', nargs='?')
    parser.add_argument('tests', nargs='*', metavar='test', help='Class.method; all of the module by default')
    args = parser.parse_args()
    if args.modules:
        print(*modules(), sep='\n')
        return
    if not args.module:
        parser.error('which device, and which module?')
    print('seed', args.seed)
    with tempfile.TemporaryDirectory() as directory:
        unpack(directory)
        sys.argv[1:] = ['--dev', args.device, '--gid', args.gid]
        importlib.import_module('args_parser').parser.parse_args()
        loader = unittest.defaultTestLoader
        module = importlib.import_module('tests.' + args.module)
        suite = loader.loadTestsFromNames(args.tests, module) if args.tests else loader.loadTestsFromModule(module)
        suite.run(Result(args.seed))


if __name__ == '__main__':
    main()
