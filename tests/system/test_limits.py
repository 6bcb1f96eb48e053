"""The limits of containers, as the kernel shows them in /proc and /sys."""

import os

import pytest

from system.limits import usable_cores, usable_memory

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
JOB = "system.slice/slurmstepd.scope/job_7"
GIB = 2**30


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Make the root of a host of 64 cores, where a process is in these cgroups."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))

    def make(groups="", mounts="", files=None):
        proc = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts}
        for name, text in {**proc, **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}")
        return tmp_path

    return make


def files(folder, **values):
    """The files of a cgroup, `_` for the dot after "memory" or "cpu"."""
    return {f"sys/fs/cgroup/{folder}/{name.replace('_', '.', 1)}": f"{value}\n" for name, value in values.items()}


def use(root):
    """The cores and the GiB that a process may use, where 100 GiB are free."""
    return usable_cores(root), usable_memory(100 * GIB, root) / GIB


def test_the_machine_limits_where_no_cgroup_does(host):
    assert use(host()) == (64, 100)
    assert use(host("0::/\n", V2)) == (64, 100)
    assert use(host("0::/a\n", V2, files("a", cpu_max="max 100000", memory_max="max", memory_current=5))) == (64, 100)
    unlimited = files("memory", memory_limit_in_bytes=2**63 - 4096, memory_usage_in_bytes=5)
    none = files("cpu,cpuacct", cpu_cfs_quota_us=-1, cpu_cfs_period_us=100000)
    assert use(host("4:memory:/\n3:cpu,cpuacct:/\n", V1, unlimited | none)) == (64, 100)


def test_a_group_of_version_2_limits_what_is_in_its_groups(host):
    limits = files(JOB, cpu_max="150000 100000", memory_max=2 * GIB, memory_current=GIB, memory_stat="inactive_file 0")
    inner = files(f"{JOB}/step_0/user", cpu_max="max 100000", memory_max="max", memory_current=GIB)
    assert use(host(f"0::/{JOB}/step_0/user\n", V2, limits | inner)) == (2, 1)
    assert use(host(f"0::/{JOB}/step_0/user\n", V2, files(f"{JOB}/step_0", cpu_max="50000 100000"))) == (1, 1)


def test_a_group_of_version_1_limits_what_is_in_its_groups(host):
    limits = files("memory/docker/ab", memory_limit_in_bytes=2 * GIB, memory_usage_in_bytes=GIB // 2)
    quota = files("cpu,cpuacct/docker/ab", cpu_cfs_quota_us=100000, cpu_cfs_period_us=100000)
    groups = "4:memory:/docker/ab/inner\n3:cpu,cpuacct:/docker/ab/inner\n1:name=systemd:/\n0::/\n"
    assert use(host(groups, V1, limits | quota)) == (1, 1.5)


def test_a_container_that_sees_its_own_groups_alone_is_limited_by_them(host):
    """Without a namespace of cgroups /proc names the group as the host does, and its folder is mounted as the root."""
    mounts = V1.replace("0:30 / ", "0:30 /docker/ab ").replace("0:29 / ", "0:29 /docker/ab ")
    limits = files("memory", memory_limit_in_bytes=2 * GIB, memory_usage_in_bytes=0)
    quota = files("cpu,cpuacct", cpu_cfs_quota_us=300000, cpu_cfs_period_us=100000)
    assert use(host("4:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n", mounts, limits | quota)) == (3, 2)


@pytest.mark.parametrize(
    ("groups", "mounts", "folder", "limits"),
    [
        ("0::/a\n", V2, "a", {"memory_max": 3 * GIB, "memory_current": 2 * GIB}),
        ("0::/a\n", V2, "a", {"memory_max": "max", "memory_high": 3 * GIB, "memory_current": 2 * GIB}),
        ("4:memory:/a\n", V1, "memory/a", {"memory_limit_in_bytes": 3 * GIB, "memory_usage_in_bytes": 2 * GIB}),
    ],
)
def test_files_in_memory_that_nobody_uses_are_no_used_memory(host, groups, mounts, folder, limits):
    stat = f"anon 5\ninactive_file {GIB}\ntotal_inactive_file {GIB}\nactive_file 7"
    assert use(host(groups, mounts, files(folder, **limits, memory_stat=stat))) == (64, 2)


def test_more_than_the_limit_is_in_use(host):
    assert use(host("0::/a\n", V2, files("a", memory_max=GIB, memory_current=2 * GIB))) == (64, 0)


def test_a_system_without_proc_has_all_its_cores_and_memory(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    assert use(tmp_path) == (os.cpu_count(), 100)
