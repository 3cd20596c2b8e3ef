"""banned.py ROOT - looks for what may not stand in the tree:

calls that this code does without, leftovers, names of the machine it was written on, files that are too
long, and tests that wait by sleeping for a fixed time. Before that it plants one mistake of each kind in a
temporary directory and checks that it is found, and that what looks similar but is right is not.
"""
import os
import re
import socket
import sys
import tempfile

FLOORS = ("base", "proto", "storage", "cluster", "api", "server", "gm-agent")
SKIPPED_DIRS = {".git", "build", "__pycache__", "corpus"}
LINES_MAX = 500
SLEEP_MAX_S = 1.0  # the longest step of a loop that polls
LOOP_LINES = 10  # how far above a sleep its loop may begin

CALLS = re.compile(
    r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|gets|strtok|rand|srand|random|srandom|rand_r|drand48"
    r"|atoi|atol|atoll|atof|alloca|system|popen|tmpnam|mktemp)\s*\("
)
# Written so that this file does not find itself.
LEFTOVERS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
PLACES = re.compile(r"(?<![\w.$}-])(/wor" + r"k/|/tmp/q" + r"/|/home/[a-z]|/Use" + r"rs/[A-Za-z])")
PUBLIC_HOSTS = re.compile(
    r"(^|\.)(debian\.org|ubuntu\.com|nodesource\.com|npmjs\.org|pypi\.org|pythonhosted\.org|golang\.org"
    r"|google\.com|github\.com|cloudflare\.com|localhost)$|^127\.|^\[?::1"
)
PROSE = (".md", ".txt", "LICENSE")


def strip_c(text):
    """C without comments and the insides of strings; line numbers stay."""
    def blank(match):
        return '""' if match.group(0)[0] in "\"'" else "\n" * match.group(0).count("\n") + " "

    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def machine_names(environment, config_files):
    """Hosts that this machine's package tools are set up with and the public does not know."""
    text = "\n".join(value for key, value in environment.items()
                     if re.search(r"proxy|index_url|registry|mirror", key, re.I))
    for path in config_files:
        try:
            with open(path, errors="replace") as file:
                text += "\n" + file.read()
        except OSError:
            pass
    hosts = {host.lower() for host in re.findall(r"https?://(?:[^/@\s]*@)?([\w.-]+)", text)}
    own = socket.gethostname().lower()
    if len(own) >= 6 and re.search(r"[\d-]", own):
        hosts.add(own)
    return sorted(host for host in hosts if not PUBLIC_HOSTS.search(host))


def package_config_files():
    apt = "/etc/apt"
    files = [apt + "/sources.list", "/etc/pip.conf", "/etc/npmrc"]
    for folder in (apt + "/sources.list.d", apt + "/apt.conf.d"):
        if os.path.isdir(folder):
            files += [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    home = os.path.expanduser("~")
    return files + [os.path.join(home, name) for name in (".npmrc", ".pip/pip.conf", ".config/pip/pip.conf")]


def text_files(root):
    for folder, dirs, names in os.walk(root):
        dirs[:] = sorted(d for d in dirs if d not in SKIPPED_DIRS)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                raw = file.read()
            if b"\0" not in raw:
                yield os.path.relpath(path, root), raw.decode(errors="replace")


def sleeps(path, lines):
    """Line numbers of sleeps that wait for a fixed time."""
    if path.endswith((".c", ".h")):
        call = re.compile(r"\b(sleep|usleep|nanosleep|clock_nanosleep|poll\s*\(\s*NULL\s*,\s*0\s*,)")
        value = re.compile(r"\b(sleep|usleep)\s*\(\s*([\d.]+)")
        unit = {"sleep": 1.0, "usleep": 1e-6}
        loop = re.compile(r"\b(while|for|do)\b")
    elif path.endswith(".py"):
        call = re.compile(r"\b(time\.)?sleep\s*\(")
        value = re.compile(r"\b(sleep)\s*\(\s*([\d.]+)\s*\)")
        unit = {"sleep": 1.0}
        loop = re.compile(r"^\s*(while|for)\b")
    else:
        call = re.compile(r"(^|[;&|{(]|\b(?:do|then|else|exec)\b)\s*sleep\s+(?!infinity)")
        value = re.compile(r"\b(sleep)\s+([\d.]+)")
        unit = {"sleep": 1.0}
        loop = re.compile(r"\b(while|until|for)\b")
    for number, line in enumerate(lines, 1):
        code = line if path.endswith((".c", ".h")) else line.split(" #")[0]
        if not call.search(code) or code.lstrip().startswith("#"):
            continue
        if not path.endswith((".c", ".h", ".py")) and code.rstrip().endswith("&"):
            continue  # a process that holds something, nobody waits for it
        span = value.search(code)
        is_long = span is not None and float(span.group(2)) * unit[span.group(1)] > SLEEP_MAX_S
        if is_long or not any(loop.search(l) for l in lines[max(0, number - 1 - LOOP_LINES):number]):
            yield number


def check(root, hosts):
    here = os.path.abspath(root)
    host_pattern = re.compile("|".join(re.escape(host) for host in hosts), re.I) if hosts else None
    seen = 0
    for path, text in text_files(root):
        seen += 1
        floor = path.split(os.sep)[0]
        lines = text.split("\n")
        is_code = path.endswith((".c", ".h", ".sh", ".py"))
        stripped = strip_c(text).split("\n") if path.endswith((".c", ".h")) else lines
        for number, line in enumerate(lines, 1):
            if not path.endswith(PROSE) and LEFTOVERS.search(line):
                yield path, number, "a leftover: " + LEFTOVERS.search(line).group(0)
            if PLACES.search(line) or (len(here) > 4 and here + "/" in line):
                yield path, number, "a path of the machine that this was written on"
            if host_pattern is not None and host_pattern.search(line):
                yield path, number, "a host of the place that this was written at"
        if floor in FLOORS and path.endswith((".c", ".h")):
            for number, line in enumerate(stripped, 1):
                for match in CALLS.finditer(line):
                    yield path, number, match.group(1) + " is not called here"
        if is_code and len(lines) - 1 > LINES_MAX:
            yield path, LINES_MAX + 1, "%d lines, more than %d: split by story" % (len(lines) - 1, LINES_MAX)
        if floor == "tests" and not path.startswith("tests/tidy/") and (is_code or "." not in os.path.basename(path)):
            for number in sleeps(path, stripped):
                yield path, number, "a fixed sleep: poll for what is waited for, with a deadline"
    if seen == 0:
        yield root, 0, "nothing to look at"


PLANTED = [
    ("base/a.c", "    strcpy(a, b);"),
    ("proto/wire/a.h", "static int f(void) { return atoi (x); }"),
    ("server/a.c", "    int x = rand();"),
    ("gm-agent/a.c", '    f("/* no comment "); system("reboot"); /* */'),
    ("cluster/a.c", "    int x; // TO" + "DO: later"),
    ("deploy/run.sh", "# FIX" + "ME"),
    ("tests/unit/a_test.c", "/* XX" + "X */"),
    ("docs/A.md", "see /wor" + "k/main"),
    ("deploy/a.conf", 'file = "/home/' + 'ann/key"'),
    ("deploy/b.conf", "fetch https://mirror.example.test/x"),
    ("api/long.c", "\n" * (LINES_MAX + 1)),
    ("tests/unit/b_test.c", "    f();\n    usleep(1000);"),
    ("tests/unit/c_test.c", "    while (!done)\n        sleep(2);"),
    ("tests/e2e/a.sh", "start\nsleep 1\ncheck"),
    ("tests/e2e/b.sh", "until ok; do sleep 3; done"),
    ("tests/e2e/c.py", "start()\ntime.sleep(0.5)"),
]
FINE = [
    ("base/a.c", '    snprintf(a, 3, "strcpy(x)"); /* not strcpy(a, b) */ p->rand(x); my_system(1); memcmp(a, b, 1);'),
    ("tests/unit/a_test.c", "    system(x); while (now() < deadline)\n        usleep(1000);"),
    ("tests/e2e/a.sh", "until ok || late; do\n    sleep 0.1\ndone\nip netns exec a sleep 100 &\nsleep infinity"),
    ("tests/e2e/c.py", "while time.monotonic() < end:\n    time.sleep(0.05)"),
    ("docs/A.md", "no leftover TO" + "DO; homework/ and /usr/home/x and $ROOT/wor" + "k/x"),
    ("tests/lib/a.sh", "dir=$(mktemp -d /tmp/quorate.XXXXXX)"),
    ("deploy/b.conf", "fetch https://deb.debian.org/debian"),
]


def self_test():
    for is_wrong, rows in ((True, PLANTED), (False, FINE)):
        for path, text in rows:
            with tempfile.TemporaryDirectory() as root:
                target = os.path.join(root, path)
                os.makedirs(os.path.dirname(target))
                with open(target, "w") as file:
                    file.write(text + "\n")
                found = list(check(root, ["mirror.example.test"]))
                if is_wrong != (len(found) == 1):
                    sys.exit("self-test: %s: %r gave %r" % (path, text[:60], found))
    names = machine_names({"HTTP_PROXY": "http://cache.corp.test:8080", "GOPROXY": "https://proxy.golang.org"}, [])
    if "cache.corp.test" not in names or "proxy.golang.org" in names:
        sys.exit("self-test: hosts: %r" % names)


def main():
    self_test()
    root = sys.argv[1]
    found = list(check(root, machine_names(os.environ, package_config_files())))
    for path, number, what in found:
        print("%s:%d: %s" % (path, number, what))
    if found:
        sys.exit(1)
    print("banned: nothing found")


main()
