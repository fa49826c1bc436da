namespace ValueFlow.Core.Learning

open ValueFlow.Core.Foundations

/// A step of a run, and where its randomness comes from: a pure function of the run's seed and the step's number, so that a resumed run draws what the
/// uninterrupted one draws.
[<Struct>]
type Moment =
    {
        /// The seed of the run.
        Seed: int
        /// The number of the step, counted from 0.
        Step: int
    }

    // Bijections of 32 bits (Appleby 2011, MurmurHash3's last step): two steps of a run never share their generator.
    static member private Mix(x: uint32) : uint32 =
        let x = (x ^^^ (x >>> 16)) * 0x85ebca6bu
        let x = (x ^^^ (x >>> 13)) * 0xc2b2ae35u
        x ^^^ (x >>> 16)

    /// The generator of this step: the same at every call.
    member moment.Generator() : Generator =
        let key = Moment.Mix(uint32 moment.Seed + 0x9e3779b9u)
        Generator(int (Moment.Mix(Moment.Mix(uint32 moment.Step ^^^ key) + key)))
