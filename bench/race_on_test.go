//go:build race

package main

const underRace = true // which makes the simulations ten times slower
