using System.Reflection;
using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>No F# type, and no type of the core or of FsCheck, shows in what C# sees.</summary>
public class SurfaceTests
{
    private static readonly string[] Hidden = ["FSharp.Core", "FsCheck", "ValueFlow.Foundations", "ValueFlow.Values", "TorchSharp"];

    private static IEnumerable<Type> Parts(Type type)
    {
        if (type.HasElementType)
        {
            return Parts(type.GetElementType()!);
        }

        return type.IsGenericType ? type.GetGenericArguments().SelectMany(Parts).Append(type.GetGenericTypeDefinition()) : [type];
    }

    private static IEnumerable<(string Where, Type Type)> Surface(Type type)
    {
        const BindingFlags all = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        static bool Visible(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;
        if (type.BaseType is not null)
        {
            yield return ($"{type.Name} base", type.BaseType);
        }

        foreach (var implemented in type.GetInterfaces())
        {
            yield return ($"{type.Name} interface", implemented);
        }

        foreach (var method in type.GetMethods(all).Cast<MethodBase>().Concat(type.GetConstructors(all)).Where(Visible))
        {
            foreach (var parameter in method.GetParameters())
            {
                yield return ($"{type.Name}.{method.Name}({parameter.Name})", parameter.ParameterType);
            }

            if (method is MethodInfo { ReturnType: var result })
            {
                yield return ($"{type.Name}.{method.Name}", result);
            }
        }

        foreach (var field in type.GetFields(all).Where(field => field.IsPublic || field.IsFamily))
        {
            yield return ($"{type.Name}.{field.Name}", field.FieldType);
        }
    }

    [Fact]
    public void NoTypeOfTheCoreShows()
    {
        var assembly = typeof(DecisionModel).Assembly;
        var types = assembly.GetExportedTypes();
        Assert.All(types, type => Assert.Equal("ValueFlow", type.Namespace));
        var leaks =
            from type in types
            from entry in Surface(type)
            from part in Parts(entry.Type)
            where Hidden.Contains(part.Assembly.GetName().Name)
            select $"{entry.Where}: {part}";
        Assert.Empty(leaks);
        Assert.True(types.Length >= 25, $"{types.Length} types");
    }

    [Fact]
    public void NoTypeOfFsCheckShowsInTheLaws()
    {
        var leaks =
            from type in typeof(Laws.Report).Assembly.GetExportedTypes()
            from entry in Surface(type)
            from part in Parts(entry.Type)
            where part.Assembly.GetName().Name == "FsCheck"
            select $"{entry.Where}: {part}";
        Assert.Empty(leaks);
    }

    [Theory]
    [InlineData(typeof(Laws.OperatorLaws))]
    [InlineData(typeof(Laws.Report))]
    [InlineData(typeof(Laws.LawOptions))]
    public void TheLawsForCSharpShowNoFSharp(Type type)
    {
        var leaks =
            from entry in Surface(type)
            from part in Parts(entry.Type)
            where part.Assembly.GetName().Name == "FSharp.Core" || part.Assembly.GetName().Name == "ValueFlow.Values"
            select $"{entry.Where}: {part}";
        Assert.Empty(leaks);
    }
}
