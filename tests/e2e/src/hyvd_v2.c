// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A daemon of another protocol version: what a guest module meets when only one of the two has been
 * upgraded. setup.sh uses it.
 */
#include <hyv/wire.h>
#undef HYV_WIRE_VERSION
#define HYV_WIRE_VERSION 2
#include "../../../host/hyvd/main.c"
