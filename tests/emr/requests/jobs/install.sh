#!/bin/sh
sudo pip3 install holidays
