#!/bin/sh
# The services that ship, as systemd reads them, and how much the backend's is exposed (Debian: systemd). No systemd runs.
#
#   test/systemd/check.sh
set -eu
cd "$(dirname "$0")/../.."

# Of 100 (10.0 for systemd); what remains: root, the network for --metrics, memory that Node writes and runs.
most_exposed=20

systemd-analyze verify --man=no systemd/vsnd-backend.service
runtime=$(mktemp -d)
trap 'rm -r "$runtime"' EXIT
XDG_RUNTIME_DIR="$runtime" systemd-analyze verify --man=no --user systemd/vsnd-bridge.service
XDG_RUNTIME_DIR="$runtime" systemd-analyze verify --man=no --user systemd/vsnd-serve.socket systemd/vsnd-serve.service
systemd-analyze security --offline=true --threshold="$most_exposed" --no-pager systemd/vsnd-backend.service
echo 'systemd: all services are understood, and the backend is confined'
