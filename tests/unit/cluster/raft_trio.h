/* raft_trio.h - three consensus cores, their disks and the mail between them, by hand. */
#ifndef TESTS_UNIT_CLUSTER_RAFT_TRIO_H
#define TESTS_UNIT_CLUSTER_RAFT_TRIO_H

#include "cluster/raft_node.h"

#include "tests/unit/cluster/raft_trio.h"

#endif
