"""What EMR calls the end of a cluster, each of its codes as a fault of the catalogue. Data, no behaviour."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["BY_ERROR_CODE", "BY_STATE_REASON", "FAMILIES", "WORDS"]

BY_ERROR_CODE: Mapping[str, str] = MappingProxyType(
    {
        "BOOTSTRAP_FAILURE_PRIMARY_WITH_NON_ZERO_CODE": "CLUSTER_BOOTSTRAP_FAILED",
        "BOOTSTRAP_FAILURE_BA_DOWNLOAD_FAILED_PRIMARY": "CLUSTER_BOOTSTRAP_UNREAD",
        "BOOTSTRAP_FAILURE_FILE_NOT_FOUND_PRIMARY": "CLUSTER_BOOTSTRAP_FAILED",
        "BOOTSTRAP_FAILURE_INSUFFICIENT_DISK_SPACE_PRIMARY": "CLUSTER_DISK_FULL",
        "BOOTSTRAP_FAILURE_INSUFFICIENT_DISK_SPACE_WORKER": "CLUSTER_DISK_FULL",
        "BOOTSTRAP_FAILURE_HIVE_METASTORE_CONNECTION_ERROR_PRIMARY": "CLUSTER_METASTORE_UNREACHED",
        "BOOTSTRAP_FAILURE_HIVE_METASTORE_CONNECTION_ERROR_WORKER": "CLUSTER_METASTORE_UNREACHED",
        "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ": "CLUSTER_CAPACITY",
        "INTERNAL_ERROR_SPOT_NO_CAPACITY_PRIMARY": "CLUSTER_CAPACITY",
        "INTERNAL_ERROR_SPOT_PRICE_INCREASE_PRIMARY": "CLUSTER_CAPACITY",
        "VALIDATION_ERROR_INSTANCE_TYPE_NOT_SUPPORTED": "CLUSTER_INVALID",
        "VALIDATION_ERROR_INVALID_SSH_KEY_NAME": "CLUSTER_INVALID",
        "VALIDATION_ERROR_SECURITY_GROUP_NOT_FROM_ONE_VPC": "CLUSTER_INVALID",
        "VALIDATION_ERROR_SUBNET_NOT_FROM_ONE_VPC": "CLUSTER_INVALID",
    }
)
"""By `ErrorDetails[].ErrorCode`: all that AWS documents."""

BY_STATE_REASON: Mapping[str, str] = MappingProxyType(
    {
        "INTERNAL_ERROR": "CLUSTER_LOST",
        "VALIDATION_ERROR": "CLUSTER_INVALID",
        "INSTANCE_FAILURE": "CLUSTER_LOST",
        "INSTANCE_FLEET_TIMEOUT": "CLUSTER_CAPACITY",
        "BOOTSTRAP_FAILURE": "CLUSTER_BOOTSTRAP_FAILED",
        "USER_REQUEST": "CLUSTER_TERMINATED_OUTSIDE",
        "STEP_FAILURE": "SPARK_STEP_FAILED",
        "ALL_STEPS_COMPLETED": "CLUSTER_LOST",
    }
)
"""By `StateChangeReason.Code`: all of botocore's model. The last is a cluster that ended without its work done."""

FAMILIES = (
    ("INSUFFICIENT_CAPACITY", "CLUSTER_CAPACITY"),
    ("SPOT_", "CLUSTER_CAPACITY"),
    ("DOWNLOAD_FAILED", "CLUSTER_BOOTSTRAP_UNREAD"),
    ("DISK_SPACE", "CLUSTER_DISK_FULL"),
    ("METASTORE", "CLUSTER_METASTORE_UNREACHED"),
    ("BOOTSTRAP_FAILURE", "CLUSTER_BOOTSTRAP_FAILED"),
    ("ACCESS_DENIED", "CLUSTER_DENIED"),
    ("VALIDATION_ERROR", "CLUSTER_INVALID"),
    ("INTERNAL_ERROR", "CLUSTER_LOST"),
    ("INSTANCE_FAILURE", "CLUSTER_LOST"),
    ("SYSTEM_ERROR", "CLUSTER_LOST"),
)
"""Words in codes that AWS does not document; the first that is found counts."""

WORDS = tuple(
    (re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (
            r"exceeds? the EC2 service quota|quota exceeded|EBS volume limit was exceeded|vCPU limit|"
            r"VcpuLimitExceeded|max spot instance count exceeded",
            "CLUSTER_QUOTA",
        ),
        (r"terminated due to spot|spot (?:instance )?(?:interruption|reclaim)", "CLUSTER_SPOT_LOST"),
        (r"out of capacity|insufficient (?:instance )?capacity|InsufficientInstanceCapacity", "CLUSTER_CAPACITY"),
        (r"subnet is not large enough|not enough free addresses|InsufficientFreeAddresses", "CLUSTER_CAPACITY"),
        (r"throttl(?:ed|ing) (?:from|by) Amazon EC2|throttling from", "AWS_THROTTLED"),
        (
            r"not authorized|access ?denied|unauthorized|not have permission|insufficient EC2 permissions",
            "CLUSTER_DENIED",
        ),
        (r"failed (?:attempting )?to download", "CLUSTER_BOOTSTRAP_UNREAD"),
        (r"no space left on device|insufficient disk space", "CLUSTER_DISK_FULL"),
    )
)
"""Words in the message that say more than a code which covers many cases; the first that is found counts."""
