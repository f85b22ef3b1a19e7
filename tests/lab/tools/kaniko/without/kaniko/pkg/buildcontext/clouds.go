package buildcontext

import (
	"errors"
	"io"
)

// A context in the storage of one of three clouds, whose SDKs take long to compile: nothing here has one.
type absent struct {
	context string
}

// GCS, S3 and AzureBlob cannot be read.
type (
	GCS       absent
	S3        absent
	AzureBlob absent
)

var errAbsent = errors.New("compiled without the clouds' storage")

// UnpackTarFromBuildContext fails.
func (*GCS) UnpackTarFromBuildContext() (string, error) { return "", errAbsent }

// UnpackTarFromBuildContext fails.
func (*S3) UnpackTarFromBuildContext() (string, error) { return "", errAbsent }

// UnpackTarFromBuildContext fails.
func (*AzureBlob) UnpackTarFromBuildContext() (string, error) { return "", errAbsent }

// UploadToBucket fails.
func UploadToBucket(io.Reader, string) error { return errAbsent }
