# SPDX-License-Identifier: MIT
"""gdb commands for programs with fibers, alive or as a core file:

    (gdb) source PREFIX/share/sanjab/sanjab-gdb.py
    (gdb) info fibers              every fiber of every loop: number, state, name, where spawned
    (gdb) fiber 3 bt               its calls; any command may stand there: fiber 3 info locals

They read the library's own types, so the library must have its debugging information: link with
libsanjab.a or install it without --strip.

A fiber that does not run has left sp, pc, fp and base (src/fiber/context.h) in memory. Nothing is
written to the program, which a core file would not allow: an unwinder tells gdb that the newest
frame of the loop's thread was called from where the fiber stands. So `fiber N bt` shows its calls
from #1 on.
"""
import re

import gdb
import gdb.unwinder

# By gdb's name of the architecture: the registers that hold sp, pc, fp and base.
REGISTERS = {
    'i386:x86-64': ('rsp', 'rip', 'rbp', 'rbx'),
    'aarch64': ('sp', 'pc', 'x29', 'x19'),
}


def address(value):
    return int(value.cast(gdb.lookup_type('unsigned long')))


def text(pointer):
    pointer = gdb.Value(address(pointer)).cast(gdb.lookup_type('char').pointer())
    return pointer.string(errors='replace') if address(pointer) else '?'


def container(node, kind, member):
    """The struct of that kind whose member the node is."""
    kind = gdb.lookup_type(kind)
    offset = [field for field in kind.fields() if field.name == member][0].bitpos // 8
    return gdb.Value(address(node) - offset).cast(kind.pointer())


def siblings(scope):
    """The fibers that belong to the scope itself."""
    head = scope['fibers'].address
    node = head['next']
    while address(node) != address(head):
        if address(node) == 0:
            raise gdb.GdbError('The core file has no stacks of fibers: gcore leaves them out, the '
                               "kernel's own has them.")
        yield container(node, 'struct sj_fiber', 'sibling')
        node = node['next']


def around(scope):
    """The fibers of the scope, and of those around it in its fiber."""
    while address(scope):
        yield from siblings(scope)
        scope = scope['outer']


def tree(scope):
    """All fibers at and below the scope, each before its own, with its depth; no recursion."""
    levels = [around(scope)]
    while levels:
        fiber = next(levels[-1], None)
        if fiber is None:
            levels.pop()
            continue
        yield fiber, len(levels) - 1
        if not fiber['has_ended']:
            levels.append(around(fiber['inner']))


def loops():
    """Each thread that runs a loop, and the loop."""
    was = gdb.selected_thread()
    if was is None:
        raise gdb.GdbError('There is no program that runs, and no core file.')
    try:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num):
            thread.switch()
            try:
                loop = gdb.parse_and_eval('fiber_loop_of_thread')
                if loop.type.code != gdb.TYPE_CODE_PTR:
                    raise gdb.error('no type')
            except gdb.error as error:
                raise gdb.GdbError('sanjab has no debugging information here '
                                   f'(fiber_loop_of_thread: {error}).')
            if address(loop):
                yield thread, loop.dereference()
    finally:
        was.switch()


class Fiber:
    def __init__(self, number, thread, loop, value, depth):
        self.number, self.thread, self.value, self.depth = number, thread, value, depth
        self.runs = address(loop['current']) == address(value)
        self.begun = self.runs or address(value['context']['pc']) != 0
        self.ended = bool(value['has_ended'])

    def state(self):
        if self.ended:
            return f"ended with {int(self.value['result'])}"
        if self.runs:
            return 'running'
        wait = self.value['wait']
        if not address(wait) or wait['over']:
            return 'ready' if self.begun else 'not begun'
        return f"waits for {text(wait['what'])}"

    def registers(self):
        context = self.value['context']
        return [address(context[name]) for name in ('sp', 'pc', 'fp', 'base')]


def fibers():
    number = 0
    found = []
    for thread, loop in list(loops()):
        for value, depth in tree(loop['root'].address):
            number += 1
            found.append(Fiber(number, thread, loop, value, depth))
    return found


class Stand:
    """A frame's identity."""

    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Unwinder(gdb.unwinder.Unwinder):
    """While a fiber is chosen: the newest frame was called by it."""

    def __init__(self):
        super().__init__('sanjab')
        self.chosen = None

    def __call__(self, frame):
        names = REGISTERS.get(frame.architecture().name())
        if self.chosen is None or names is None or frame.level() > 0:
            return None
        sp, pc = (gdb.Value(address(frame.read_register(name))) for name in names[:2])
        info = frame.create_unwind_info(Stand(sp, pc))
        for name, value in zip(names, self.chosen):
            kind = frame.read_register(name).type
            info.add_saved_register(name, gdb.Value(value).cast(kind))
        return info


UNWINDER = Unwinder()


def run_in(fiber, command):
    """What the command prints with the fiber's newest frame selected."""
    fiber.thread.switch()
    if fiber.runs:
        gdb.newest_frame().select()
        return gdb.execute(command, to_string=True)
    UNWINDER.chosen = fiber.registers()
    gdb.invalidate_cached_frames()
    try:
        frame = gdb.newest_frame().older()
        if frame is None:
            raise gdb.GdbError('gdb finds no frames of it.')
        frame.select()
        said = gdb.execute(command, to_string=True)
    finally:
        UNWINDER.chosen = None
        gdb.invalidate_cached_frames()
    if re.match(r'(bt|backtrace|where)\b', command):
        said = re.sub(r'\A#0 .*?(?=^#1 )', '', said, flags=re.S | re.M)
    return said


class InfoFibers(gdb.Command):
    """All fibers of all loops: number, thread, state, name, and where each was spawned."""

    def __init__(self):
        super().__init__('info fibers', gdb.COMMAND_STATUS)

    def invoke(self, _argument, _from_tty):
        found = fibers()
        for f in found:
            mark = '*' if f.runs else ' '
            name, where = text(f.value['name']), text(f.value['where'])
            print(f'{mark} {f.number:<4} thread {f.thread.num}  {"  " * f.depth}"{name}" ({where}): '
                  f'{f.state()}')
        print(f'{len(found)} fiber{"" if len(found) == 1 else "s"}')


class FiberCommand(gdb.Command):
    """fiber N COMMAND: runs a command as if the fiber ran: fiber 3 bt, fiber 3 info locals."""

    def __init__(self):
        super().__init__('fiber', gdb.COMMAND_STACK, gdb.COMPLETE_COMMAND)

    def invoke(self, argument, _from_tty):
        match = re.match(r'\s*(\d+)\s*(.*)', argument)
        if not match:
            raise gdb.GdbError('fiber N COMMAND; see: info fibers')
        number, command = int(match.group(1)), match.group(2).strip() or 'bt'
        found = {f.number: f for f in fibers()}
        if number not in found:
            raise gdb.GdbError(f'There is no fiber {number}; see: info fibers')
        fiber = found[number]
        if fiber.ended or not fiber.begun:
            raise gdb.GdbError(f'Fiber {number} has no calls: {fiber.state()}.')
        was, frame = gdb.selected_thread(), gdb.selected_frame().level()
        try:
            said = run_in(fiber, command)
        finally:
            was.switch()
            gdb.execute(f'frame {frame}', to_string=True)
        print(said, end='')


gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)
InfoFibers()
FiberCommand()
